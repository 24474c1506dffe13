// Package migrations holds the SQL that makes and changes the gateway's tables,
// for PostgreSQL and for SQLite, embedded in the binary. An embedded gateway's
// usage is in a file of its own: usage has the SQL of that.
//
// Files are named as golang-migrate wants them: 000001_name.up.sql and
// 000001_name.down.sql, numbered without gaps, and alike for both databases.
// Each file is run as one transaction, so it neither begins nor commits one.
// Package store applies them.
package migrations

import (
	"embed"
	"fmt"
	"io/fs"
	"strings"
)

//go:embed postgres/*.sql sqlite/*.sql usage/*.sql
var files embed.FS

// FS returns the migrations of one kind of database, "postgresql" (or
// "postgres"), "sqlite" or "usage": a folder of SQL files at its root.
func FS(kind string) (fs.FS, error) {
	switch kind {
	case "postgresql", "postgres":
		return fs.Sub(files, "postgres")
	case "sqlite":
		return fs.Sub(files, "sqlite")
	case "usage":
		return fs.Sub(files, "usage")
	}
	return nil, fmt.Errorf("no migrations for a database of kind %q", kind)
}

// Newest returns the version that the tables have when every migration is
// applied. It is the same for both kinds of database.
func Newest() int { return NewestOf("postgresql") }

// NewestOf is Newest for one kind, as FS has them.
func NewestOf(kind string) int {
	folder, err := FS(kind)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	ups, err := fs.Glob(folder, "*.up.sql")
	if err != nil {
		panic("BUG: " + err.Error())
	}
	// Numbered without gaps, so that the count is the newest number.
	return len(ups)
}

// Name returns the name of one migration, "config" for 1, or "" if this
// binary does not have it.
func Name(version int) string {
	found, err := fs.Glob(files, fmt.Sprintf("postgres/%06d_*.up.sql", version))
	if err != nil || len(found) == 0 {
		return ""
	}
	_, name, _ := strings.Cut(strings.TrimSuffix(found[0], ".up.sql"), "_")
	return name
}
