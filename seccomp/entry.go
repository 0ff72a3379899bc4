package seccomp

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// programRevision changes whenever this package makes another program of the
// same profile, so that a new davit doesn't use an old one's cache.
const programRevision = 3

// cacheKey names everything that a program follows from: the rules, the default
// action, the architectures and the options; libseccomp's version; and the
// machine's architecture. Flags and listener are no part of the program, so
// profiles may differ in them.
type cacheKey [sha256.Size]byte

func (p *profile) key(opts Options) cacheKey {
	k := keyWriter{make([]byte, 0, 8<<10)}
	k.number(programRevision)
	k.text(runtime.GOARCH)
	k.text(LibraryVersion())
	k.flag(opts.FailUnknownSyscalls)
	k.number(uint64(p.defaultAction))
	k.number(uint64(len(p.archs)))
	for _, a := range p.archs {
		k.text(string(a))
	}
	k.number(uint64(len(p.rules)))
	for i := range p.rules {
		r := &p.rules[i]
		k.number(uint64(r.action))
		k.number(uint64(len(r.names)))
		for _, name := range r.names {
			k.text(name)
		}
		k.number(uint64(len(r.args)))
		for _, arg := range r.args {
			k.number(uint64(arg.Index))
			k.number(arg.Value)
			k.number(arg.ValueTwo)
			k.text(string(arg.Op))
		}
	}
	return sha256.Sum256(k.buf)
}

// keyWriter writes values so that no two sequences of them look the same:
// numbers end where they end, texts are preceded by their length.
type keyWriter struct{ buf []byte }

func (k *keyWriter) number(n uint64) { k.buf = binary.AppendUvarint(k.buf, n) }

func (k *keyWriter) text(s string) {
	k.number(uint64(len(s)))
	k.buf = append(k.buf, s...)
}

func (k *keyWriter) flag(b bool) {
	if b {
		k.number(1)
	} else {
		k.number(0)
	}
}

// An entry of the cache is one file:
//
//	magic | key | length of the warnings | warnings, separated by NUL | program | SHA-256 of all before
//
// The digest finds damage: a write cut short by a full disk, a flipped bit. It
// is no signature. That nobody else writes entries is what owner and mode of
// directory and file are checked for.
const entryMagic = "davit seccomp 1\n"

const (
	entryHeader = len(entryMagic) + sha256.Size + 4
	// maxEntry bounds what is read and kept. A program has at most 32 KiB.
	maxEntry = 128 << 10
)

var errDamaged = errors.New("is damaged")

// encodeEntry returns nil for something too large to keep.
func encodeEntry(key cacheKey, c *compiled) []byte {
	text := strings.Join(c.warnings, "\x00")
	size := entryHeader + len(text) + len(c.program) + sha256.Size
	if size > maxEntry {
		return nil
	}
	out := make([]byte, 0, size)
	out = append(out, entryMagic...)
	out = append(out, key[:]...)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(text)))
	out = append(out, text...)
	out = append(out, c.program...)
	digest := sha256.Sum256(out)
	return append(out, digest[:]...)
}

// decodeEntry returns errDamaged for anything but what encodeEntry made for
// this key. The result shares the memory of data.
func decodeEntry(key cacheKey, data []byte) (*compiled, error) {
	if len(data) < entryHeader+sha256.Size || len(data) > maxEntry {
		return nil, errDamaged
	}
	body, digest := data[:len(data)-sha256.Size], data[len(data)-sha256.Size:]
	if sha256.Sum256(body) != [sha256.Size]byte(digest) {
		return nil, errDamaged
	}
	if string(body[:len(entryMagic)]) != entryMagic || cacheKey(body[len(entryMagic):]) != key {
		return nil, errDamaged
	}
	text := binary.LittleEndian.Uint32(body[entryHeader-4:])
	rest := body[entryHeader:]
	if uint64(text) > uint64(len(rest)) {
		return nil, errDamaged
	}
	c := &compiled{program: rest[text:]}
	if n := len(c.program); n == 0 || n%insnSize != 0 || n > unix.BPF_MAXINSNS*insnSize {
		return nil, errDamaged
	}
	if text > 0 {
		c.warnings = strings.Split(string(rest[:text]), "\x00")
	}
	return c, nil
}
