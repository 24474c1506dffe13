package store

import (
	"fmt"
	"testing"
	"time"
)

// SetLockTime makes a migration impatient for the length of a test.
func SetLockTime(t *testing.T, d time.Duration) {
	old := lockTime
	t.Cleanup(func() { lockTime = old })
	lockTime = d
}

// FillDisk leaves an embedded store room for a few pages more, as a disk that
// fills up does. The function it returns makes room again.
func FillDisk(t *testing.T, s Store) func() {
	t.Helper()
	writer := s.(*SQLite).writer
	var pages int
	if err := writer.QueryRow("PRAGMA page_count").Scan(&pages); err != nil {
		t.Fatal(err)
	}
	limit := func(most int) {
		t.Helper()
		if _, err := writer.Exec(fmt.Sprintf("PRAGMA max_page_count = %d", most)); err != nil {
			t.Fatal(err)
		}
	}
	limit(pages + 4)
	return func() { limit(1 << 30) }
}
