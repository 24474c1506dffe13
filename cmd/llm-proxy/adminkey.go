package main

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
)

// adminKey is the hash of the key that opens the Admin API. Its zero value
// opens to nobody.
type adminKey struct {
	hash  [sha256.Size]byte
	isSet bool
}

// set takes a key; an empty one changes nothing.
func (k *adminKey) set(key string) {
	if key != "" {
		k.hash, k.isSet = sha256.Sum256([]byte(key)), true
	}
}

// setHash takes a key by its hash in hex.
func (k *adminKey) setHash(text string) error {
	if n, err := hex.Decode(k.hash[:], []byte(text)); err != nil || n != len(k.hash) {
		return errors.New("the stored hash of the admin key is damaged: set ADMIN_KEY")
	}
	k.isSet = true
	return nil
}

// Matches reports, in constant time, whether the key is the admin's.
func (k *adminKey) Matches(key []byte) bool {
	got := sha256.Sum256(key)
	return subtle.ConstantTimeCompare(k.hash[:], got[:]) == 1 && k.isSet
}
