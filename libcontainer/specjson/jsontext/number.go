package jsontext

import "math"

// Signed reads an integer that an intN holds.
func (d *Decoder) Signed(bits int) int64 {
	d.next()
	negative := d.minus()
	v, limit := d.digits(), uint64(1)<<(bits-1)
	if negative {
		if v > limit {
			d.Refuse()
		}
		return -int64(v)
	}
	if v >= limit {
		d.Refuse()
	}
	return int64(v)
}

// Unsigned reads an integer that a uintN holds. As for encoding/json, -0 is none.
func (d *Decoder) Unsigned(bits int) uint64 {
	d.next()
	v := d.digits()
	if v > math.MaxUint64>>(64-bits) {
		d.Refuse()
	}
	return v
}

func (d *Decoder) minus() bool {
	if d.pos < len(d.text) && d.text[d.pos] == '-' {
		d.pos++
		return true
	}
	return false
}

// digits reads an integer without sign. What may not follow one, another digit
// after a leading zero or a fraction, stays unread and is refused by more.
func (d *Decoder) digits() uint64 {
	start, v := d.pos, uint64(0)
	for d.pos < len(d.text) {
		c := uint64(d.text[d.pos] - '0')
		if c > 9 {
			break
		}
		if v > (math.MaxUint64-c)/10 {
			d.Refuse()
			return 0
		}
		v = v*10 + c
		d.pos++
		if v == 0 {
			break
		}
	}
	if d.pos == start {
		d.Refuse()
	}
	return v
}

// anyNumber skips a number of any size and form.
func (d *Decoder) anyNumber() {
	d.minus()
	if d.pos < len(d.text) && d.text[d.pos] == '0' {
		d.pos++
	} else {
		d.digitRun()
	}
	if d.pos < len(d.text) && d.text[d.pos] == '.' {
		d.pos++
		d.digitRun()
	}
	if d.pos < len(d.text) && d.text[d.pos]|0x20 == 'e' {
		d.pos++
		if d.pos < len(d.text) && (d.text[d.pos] == '+' || d.text[d.pos] == '-') {
			d.pos++
		}
		d.digitRun()
	}
}

func (d *Decoder) digitRun() {
	start := d.pos
	for d.pos < len(d.text) && d.text[d.pos]-'0' <= 9 {
		d.pos++
	}
	if d.pos == start {
		d.Refuse()
	}
}
