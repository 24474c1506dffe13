package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"modernc.org/sqlite"
	sqlitecode "modernc.org/sqlite/lib"
)

// prepareFile makes the directory and the file for our eyes only, and returns
// the file's absolute path. SQLite gives its other files the same permissions.
func prepareFile(dir string) (string, error) {
	if dir == "" {
		return "", errors.New("DATA_DIR is empty: set it to the directory that is to hold the embedded store, or set DB_URL")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("DATA_DIR: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", unwritable(dir, "cannot be made", err)
	}
	path := filepath.Join(dir, sqliteName)
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return "", unwritable(path, "cannot be written", err)
	}
	if err := file.Close(); err != nil {
		return "", unwritable(path, "cannot be written", err)
	}
	// SQLite needs to make files beside it.
	probe, err := os.CreateTemp(dir, ".writable-")
	if err != nil {
		return "", unwritable(dir, "cannot be written", err)
	}
	defer os.Remove(probe.Name())
	return path, probe.Close()
}

// unwritable is the error for a path, with what to do about it.
func unwritable(path, what string, err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	return fmt.Errorf("%s %s: %w; let the user of this process write there, or set DATA_DIR to a directory it may write", path, what, err)
}

// checkFile sees that the file is a database that is whole.
func checkFile(db *sql.DB, path string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var verdict string
	err := db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&verdict)
	if err == nil && verdict == "ok" {
		return nil
	}
	if err == nil {
		return damaged(path, verdict)
	}
	var refused *sqlite.Error
	if errors.As(err, &refused) {
		switch refused.Code() & 0xff {
		case sqlitecode.SQLITE_NOTADB, sqlitecode.SQLITE_CORRUPT:
			return damaged(path, refused.Error())
		case sqlitecode.SQLITE_FULL, sqlitecode.SQLITE_IOERR:
			return fmt.Errorf("%s: %w; is the disk full?", path, sqliteError(err))
		}
	}
	return fmt.Errorf("%s: %w", path, sqliteError(err))
}

// damaged is the error for a file that is no database any more.
func damaged(path, how string) error {
	return fmt.Errorf("%s is damaged, or is no SQLite file (%s); put a backup in its place, or move it away together with its -wal and -shm to begin with an empty configuration",
		path, oneLine(how))
}
