package dbus

import "fmt"

// maxDepth is how deep types may nest; the specification has 32 each for arrays and structs.
const maxDepth = 32

// SplitType takes the first complete type off a signature.
func SplitType(sig string) (first, rest string, err error) {
	n, err := typeLen(sig, 0)
	if err != nil {
		return "", "", err
	}
	return sig[:n], sig[n:], nil
}

// CheckType tells whether sig is one complete type.
func CheckType(sig string) error {
	n, err := typeLen(sig, 0)
	if err == nil && n != len(sig) {
		err = fmt.Errorf("%q is more than one type", sig)
	}
	return err
}

func typeLen(sig string, depth int) (int, error) {
	if sig == "" || depth > maxDepth {
		return 0, fmt.Errorf("%q is not a complete type", sig)
	}
	switch sig[0] {
	case 'y', 'b', 'n', 'q', 'i', 'u', 'x', 't', 'd', 's', 'o', 'g', 'v':
		return 1, nil
	case 'a':
		n, err := typeLen(sig[1:], depth+1)
		return n + 1, err
	case '(', '{':
		closing, at := byte(')'), 1
		if sig[0] == '{' {
			closing = '}'
		}
		for at < len(sig) && sig[at] != closing {
			n, err := typeLen(sig[at:], depth+1)
			if err != nil {
				return 0, err
			}
			at += n
		}
		if at < len(sig) && at > 1 {
			return at + 1, nil
		}
	}
	return 0, fmt.Errorf("%q is not a complete type", sig)
}

// alignment is that of a type's first byte.
func alignment(c byte) int {
	switch c {
	case 'n', 'q':
		return 2
	case 'b', 'i', 'u', 's', 'o', 'a':
		return 4
	case 'x', 't', 'd', '(', '{':
		return 8
	}
	return 1
}
