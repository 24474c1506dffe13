package store

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// readKey reads a key file.
func readKey(path string) ([]byte, error) {
	text, err := readFile(path)
	if err != nil {
		return nil, err
	}
	key, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(text)))
	if err != nil || len(key) != sealKeySize {
		return nil, fmt.Errorf("%s does not hold a key; remove it and %s, they are made anew", path, snapshotName)
	}
	return key, nil
}

// makeKey reads a key file, and makes it first if it is not there. Of two
// processes that make it at once both use the one that came first.
func makeKey(path string) ([]byte, error) {
	key, err := readKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	key = make([]byte, sealKeySize)
	rand.Read(key) //nolint:errcheck // never fails
	temp, err := writeTemp(path, []byte(base64.StdEncoding.EncodeToString(key)+"\n"))
	if err != nil {
		return nil, err
	}
	defer os.Remove(temp)
	if err := os.Link(temp, path); err != nil && !errors.Is(err, fs.ErrExist) {
		// Some file systems know no links.
		if err := os.Rename(temp, path); err != nil {
			return nil, err
		}
	}
	return readKey(path)
}

// readFile reads a file of bounded size.
func readFile(path string) ([]byte, error) {
	at, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !at.Mode().IsRegular() || at.Size() > snapshotMost {
		return nil, fmt.Errorf("%s is not a file of ours", path)
	}
	return os.ReadFile(path)
}

// replaceFile puts content in the place of the file at path, in one step that
// a crash cannot tear.
func replaceFile(path string, content []byte) error {
	temp, err := writeTemp(path, content)
	if err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		os.Remove(temp)
		return err
	}
	sweep(path)
	return syncDir(filepath.Dir(path))
}

// staleAge is how old a temporary file is that nobody will rename any more:
// who made it was killed, or lost the right to remove it.
const staleAge = time.Hour

// sweep removes what was left behind by attempts to replace the file at path.
func sweep(path string) {
	left, _ := filepath.Glob(path + tempPattern) // no error: the pattern is good, or finds nothing
	for _, name := range left {
		if at, err := os.Lstat(name); err == nil && time.Since(at.ModTime()) > staleAge {
			os.Remove(name)
		}
	}
}

const tempPattern = ".*.tmp"

// writeTemp writes content to a new file beside path, readable by us alone,
// and returns its name once it is on the disk.
func writeTemp(path string, content []byte) (name string, err error) {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+tempPattern)
	if err != nil {
		return "", err
	}
	_, err = file.Write(content)
	if err == nil {
		err = file.Sync()
	}
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err != nil {
		os.Remove(file.Name())
		return "", err
	}
	return file.Name(), nil
}

// syncDir makes a rename last. Not every file system lets a directory be
// synced, and the rename itself is done.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	_ = d.Sync()
	return nil
}
