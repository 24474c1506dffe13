package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"llmproxy/config"
)

const (
	snapshotName    = "config.snapshot"
	snapshotKeyName = "snapshot.key"

	// snapshotHeader is the first line of the file; the sealed rest is bound to it.
	snapshotHeader = "llm-proxy configuration, sealed, v1\n"

	snapshotMost = 256 << 20 // no configuration is larger; a file that is, is not ours
)

// Snapshot is the last good Set on disk, for starting while the database is
// away. It is sealed with SECRET_KEY, or else with a random key that lies
// beside it: that keeps the providers' keys out of a copied file, not from
// who can read the whole directory.
//
// It may be used from any goroutine.
type Snapshot struct {
	dir    string
	sealer *Sealer // nil: the key beside it

	mu sync.Mutex // one Save or Load at a time
}

// saved is what the file holds.
type saved struct {
	SavedAt     time.Time       `json:"saved_at"`
	Version     int64           `json:"version"`
	Providers   []providerRow   `json:"providers"`
	Credentials []credentialRow `json:"credentials"`
	Prices      []priceRow      `json:"prices"`
}

// NewSnapshot returns the snapshot in a directory, which is made when the
// first is saved. It touches no file yet.
func NewSnapshot(dir string, sealer *Sealer) *Snapshot {
	return &Snapshot{dir: dir, sealer: sealer}
}

// Path returns where the snapshot lies.
func (s *Snapshot) Path() string { return filepath.Join(s.dir, snapshotName) }

// Save puts a Set in the place of the one before. Whatever happens meanwhile,
// the file is either the old or the new one, whole.
func (s *Snapshot) Save(set *config.Set) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	plain, err := marshalSet(set)
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	sealer, err := s.sealerFor(makeKey)
	if err != nil {
		return err
	}
	content := append([]byte(snapshotHeader), sealer.seal(plain, snapshotHeader)...)
	if err := replaceFile(s.Path(), content); err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	return nil
}

// Load returns the Set that was saved last and when that was. Without any the
// error is ErrNotFound.
func (s *Snapshot) Load() (*config.Set, time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	content, err := readFile(s.Path())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, time.Time{}, fmt.Errorf("snapshot %s: %w", s.Path(), ErrNotFound)
	}
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("snapshot: %w", err)
	}
	body, ours := bytes.CutPrefix(content, []byte(snapshotHeader))
	if !ours {
		return nil, time.Time{}, fmt.Errorf("snapshot %s is not one of this version's, or was cut off", s.Path())
	}
	sealer, err := s.sealerFor(readKey)
	if err != nil {
		return nil, time.Time{}, err
	}
	plain, err := sealer.open(body, snapshotHeader)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("snapshot %s cannot be unsealed: %s is not what it was sealed with, or the file was changed", s.Path(), s.keyName())
	}
	set, at, err := unmarshalSet(plain)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("snapshot %s: %w", s.Path(), err)
	}
	return set, at, nil
}

// keyName is what the operator knows the key as.
func (s *Snapshot) keyName() string {
	if s.sealer != nil {
		return "SECRET_KEY"
	}
	return filepath.Join(s.dir, snapshotKeyName)
}

// sealerFor returns the sealer of SECRET_KEY, or that of the key beside the
// snapshot.
func (s *Snapshot) sealerFor(key func(path string) ([]byte, error)) (*Sealer, error) {
	if s.sealer != nil {
		return s.sealer, nil
	}
	k, err := key(s.keyName())
	if err != nil {
		return nil, fmt.Errorf("the snapshot's key: %w", err)
	}
	return newSealer(k), nil
}

// marshalSet writes a Set with its keys in plain text, to be sealed whole.
func marshalSet(set *config.Set) ([]byte, error) {
	s := saved{SavedAt: time.Now().UTC(), Version: set.Version}
	for i := range set.Providers {
		row, err := newProviderRow(&set.Providers[i], nil)
		if err != nil {
			return nil, err
		}
		s.Providers = append(s.Providers, row)
	}
	for i := range set.Credentials {
		s.Credentials = append(s.Credentials, newCredentialRow(&set.Credentials[i]))
	}
	for i := range set.Prices {
		s.Prices = append(s.Prices, newPriceRow(&set.Prices[i]))
	}
	return json.Marshal(s)
}

// unmarshalSet reads what marshalSet wrote.
func unmarshalSet(plain []byte) (*config.Set, time.Time, error) {
	var s saved
	if err := json.Unmarshal(plain, &s); err != nil {
		return nil, time.Time{}, errors.New("holds something else than a configuration")
	}
	set := &config.Set{
		Version:     s.Version,
		Providers:   make([]config.Provider, 0, len(s.Providers)),
		Credentials: make([]config.Credential, 0, len(s.Credentials)),
		Prices:      make([]config.Price, 0, len(s.Prices)),
	}
	for i := range s.Providers {
		p, err := s.Providers[i].provider(nil)
		if err != nil {
			return nil, time.Time{}, err
		}
		set.Providers = append(set.Providers, p)
	}
	for i := range s.Credentials {
		c, err := s.Credentials[i].credential()
		if err != nil {
			return nil, time.Time{}, err
		}
		set.Credentials = append(set.Credentials, c)
	}
	for i := range s.Prices {
		set.Prices = append(set.Prices, s.Prices[i].price())
	}
	return set, s.SavedAt, nil
}
