package store

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
)

const (
	sealedPrefix = "sealed:v1:" // then base64 of nonce and ciphertext
	sealInfo     = "llm-proxy sealing key v1"
	sealKeySize  = 32
)

// errSealed is for a value that cannot be unsealed with what we have.
var errSealed = errors.New("is sealed")

var (
	errNoSecret    = sealError("it is sealed, and SECRET_KEY is not set: set the SECRET_KEY it was sealed with, or give the provider its key anew")
	errWrongSecret = sealError("it cannot be unsealed: SECRET_KEY is not the one it was sealed with, or the value was changed; set the right SECRET_KEY, or give the provider its key anew")
	errLooksSealed = errors.New("must not begin with " + sealedPrefix + ", the mark of what is sealed")
)

// sealError is an errSealed that says why and what to do.
type sealError string

// Error implements error.
func (e sealError) Error() string { return string(e) }

// Is makes it errSealed.
func (e sealError) Is(target error) bool { return target == errSealed }

// Sealer encrypts short secrets, the providers' keys, for the tables. It is
// safe for use from any goroutine.
//
// It is AES-256-GCM with a random nonce, under a key derived from SECRET_KEY
// by HKDF-SHA256. That does not make a guessable SECRET_KEY strong: it should
// be random, as `openssl rand -base64 32` makes it.
//
// A nil *Sealer seals nothing, and still reads what is in plain text.
type Sealer struct {
	aead cipher.AEAD
}

// NewSealer makes the sealer of a SECRET_KEY; an empty one makes nil.
func NewSealer(secret string) *Sealer {
	if secret == "" {
		return nil
	}
	key, err := hkdf.Key(sha256.New, []byte(secret), nil, sealInfo, sealKeySize)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return newSealer(key)
}

// newSealer makes a sealer of a key of sealKeySize bytes.
func newSealer(key []byte) *Sealer {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return &Sealer{aead: aead}
}

// Seal returns the text that is stored for a secret. Nothing stays nothing.
func (s *Sealer) Seal(secret string) (string, error) {
	if isSealed(secret) {
		return "", errLooksSealed
	}
	if s == nil || secret == "" {
		return secret, nil
	}
	return sealedPrefix + base64.StdEncoding.EncodeToString(s.seal([]byte(secret), sealedPrefix)), nil
}

// Open returns the secret that a stored text stands for: itself, if it was
// stored in plain text. The error never quotes the text.
func (s *Sealer) Open(stored string) (string, error) {
	text, sealed := strings.CutPrefix(stored, sealedPrefix)
	if !sealed {
		return stored, nil
	}
	if s == nil {
		return "", errNoSecret
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return "", errWrongSecret
	}
	secret, err := s.open(raw, sealedPrefix)
	if err != nil {
		return "", errWrongSecret
	}
	return string(secret), nil
}

// seal encrypts data; purpose is not in the result but must be given to open.
func (s *Sealer) seal(data []byte, purpose string) []byte {
	return s.aead.Seal(nil, nil, data, []byte(purpose))
}

// open decrypts what seal made.
func (s *Sealer) open(sealed []byte, purpose string) ([]byte, error) {
	return s.aead.Open(nil, nil, sealed, []byte(purpose))
}

// isSealed reports whether a stored text is a sealed one.
func isSealed(stored string) bool { return strings.HasPrefix(stored, sealedPrefix) }
