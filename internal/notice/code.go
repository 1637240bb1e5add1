package notice

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"strings"
	"unicode"
)

// secretSize is that of a notice's secret.
const secretSize = 32

// A code is 28 characters: 27 of 5 bits, and one that finds mistakes. The bits are the notice's number, the person's row, hidden, and a MAC over both.
const (
	numberBits = 12
	rowBits    = 28
	macBits    = 95
	codeChars  = (numberBits + rowBits + macBits) / 5 // without the check character

	maxNumber = 1<<numberBits - 1
	// sampleRow is the row of codes on samples: nobody's.
	sampleRow = 1<<rowBits - 1
	maxRows   = sampleRow
)

// alphabet is Crockford's base 32: no letter that is taken for a digit.
const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// What a MAC is made for: a code, which people show to a page, must not be had from a message id, which machines log.
const (
	forCode      = "whosaw notice code 1"
	forRow       = "whosaw notice row 1"
	forMessageID = "whosaw notice message id 1"
)

var errNoCode = errors.New("it is no code of a notice: it has 28 letters and digits, in groups of four")

// codeOf gives the code of a person's notice.
func codeOf(secret []byte, number, row uint32) string { return seal(secret, forCode, number, row) }

// seal packs number and row, and a MAC over both. The row is hidden under the MAC, so that codes do not tell how many people there are.
func seal(secret []byte, purpose string, number, row uint32) string {
	mac := macOf(secret, purpose, number, row)
	hidden := row ^ mask(secret, purpose, number, mac)
	var digits [codeChars]byte
	put := func(at, n int, v uint64) { // n digits of v
		for i := n - 1; i >= 0; i-- {
			digits[at+i] = byte(v & 31)
			v >>= 5
		}
	}
	// 40 bits of number and row, then 95 of the MAC: 8 digits and 19.
	put(0, 8, uint64(number)<<rowBits|uint64(hidden))
	for i := range 19 {
		digits[8+i] = bits5(mac[:], i)
	}
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && i%4 == 0 {
			b.WriteByte('-')
		}
		b.WriteByte(alphabet[d])
	}
	b.WriteByte(alphabet[check(digits[:])])
	return b.String()
}

// bits5 gives the i-th five bits.
func bits5(b []byte, i int) byte {
	at := i * 5
	w := uint(b[at/8]) << 8
	if at/8+1 < len(b) {
		w |= uint(b[at/8+1])
	}
	return byte(w>>(11-at%8)) & 31
}

// mac is the 95 bits that are used, in 12 bytes.
type mac [12]byte

func macOf(secret []byte, purpose string, number, row uint32) (out mac) {
	copy(out[:], sum(secret, purpose, number, row, nil))
	out[11] &= 0xfe // 95 bits
	return out
}

func mask(secret []byte, purpose string, number uint32, m mac) uint32 {
	return binary.BigEndian.Uint32(sum(secret, forRow+purpose, number, 0, m[:])) & maxRows
}

func sum(secret []byte, purpose string, number, row uint32, more []byte) []byte {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte(purpose))
	var b [9]byte // a zero ends the purpose
	binary.BigEndian.PutUint32(b[1:], number)
	binary.BigEndian.PutUint32(b[5:], row)
	h.Write(b[:])
	h.Write(more)
	return h.Sum(nil)
}

// sealed is a code as it was read: not yet known to be true.
type sealed struct {
	number uint32
	hidden uint32
	mac    mac
}

// parse reads a code as people type it: in small letters, without hyphens, with O for 0, and with what a page from right to left puts around it.
func parse(text string) (sealed, error) {
	var digits [codeChars + 1]byte
	n := 0
	for _, r := range text {
		switch r = unicode.ToUpper(r); {
		case r == '-' || unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Pd, r):
			continue
		case r == 'O':
			r = '0'
		case r == 'I' || r == 'L':
			r = '1'
		}
		d := strings.IndexRune(alphabet, r)
		if d < 0 || n == len(digits) {
			return sealed{}, errNoCode
		}
		digits[n] = byte(d)
		n++
	}
	if n != len(digits) || digits[codeChars] != check(digits[:codeChars]) {
		return sealed{}, errNoCode
	}
	var head uint64
	for _, d := range digits[:8] {
		head = head<<5 | uint64(d)
	}
	s := sealed{number: uint32(head >> rowBits), hidden: uint32(head & maxRows)}
	for i, d := range digits[8:codeChars] {
		at := i * 5
		w := uint(d) << (11 - at%8)
		s.mac[at/8] |= byte(w >> 8)
		if at/8+1 < len(s.mac) {
			s.mac[at/8+1] |= byte(w)
		}
	}
	return s, nil
}

// open gives the row if the code is one that this secret made.
func (s *sealed) open(secret []byte, purpose string) (row uint32, ok bool) {
	row = s.hidden ^ mask(secret, purpose, s.number, s.mac)
	want := macOf(secret, purpose, s.number, row)
	return row, hmac.Equal(want[:], s.mac[:])
}

// check gives a digit over GF(32): the sum of each digit times a power of a primitive element. One wrong digit changes it, and so do two
// that changed places, wherever they are.
func check(digits []byte) byte {
	var out byte
	factor := byte(1)
	for _, d := range digits {
		factor = times(factor, 2)
		out ^= times(factor, d)
	}
	return out
}

// times multiplies in GF(32) with x^5 + x^2 + 1.
func times(a, b byte) byte {
	var out byte
	for ; b != 0; b >>= 1 {
		if b&1 != 0 {
			out ^= a
		}
		if a <<= 1; a&32 != 0 {
			a ^= 0b100101
		}
	}
	return out
}

// messageIDOf gives the same id for the same person each time, so that a notice which is sent again is seen to be the same. Without
// the domain.
func messageIDOf(secret []byte, number, row uint32) string {
	return "notice." + strings.ToLower(strings.ReplaceAll(seal(secret, forMessageID, number, row), "-", ""))
}
