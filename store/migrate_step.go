package store

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/golang-migrate/migrate/v4/database"
	migratepgx "github.com/golang-migrate/migrate/v4/database/pgx/v5"
)

// wholeSteps is golang-migrate's driver, but that a migration and the note of
// its version are one transaction.
//
// The driver alone notes a version as dirty, migrates, and notes it as clean,
// so that whatever interrupts it leaves a database that a person must mend.
// Ours is at the version before or the one after, and the next start goes on.
// A dirty version then can only come from the golang-migrate command.
type wholeSteps struct {
	database.Driver
	target int
	done   bool // Run has noted target already
}

// SetVersion is called before a migration with dirty set, and after it without.
func (w *wholeSteps) SetVersion(version int, dirty bool) error {
	if dirty {
		w.target, w.done = version, false
		return nil
	}
	if w.done && version == w.target {
		return nil
	}
	return w.Driver.SetVersion(version, false)
}

// Run runs one migration, all of it as one transaction: both drivers do so
// with a text of several statements.
func (w *wholeSteps) Run(migration io.Reader) error {
	statements, err := io.ReadAll(migration)
	if err != nil {
		return err
	}
	note := "DELETE FROM " + migratepgx.DefaultMigrationsTable + ";\n"
	if w.target >= 0 {
		note += fmt.Sprintf("INSERT INTO %s (version, dirty) VALUES (%d, false);\n", migratepgx.DefaultMigrationsTable, w.target)
	}
	err = w.Driver.Run(io.MultiReader(bytes.NewReader(statements), strings.NewReader(note)))
	w.done = err == nil
	return err
}
