package pgtest_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"llmproxy/internal/pgtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Run(m)) }

func TestEveryTestHasADatabaseOfItsOwn(t *testing.T) {
	one, two := pgtest.New(t), pgtest.New(t)

	query(t, one, "CREATE TABLE things AS SELECT 1 AS n")
	if got := query(t, one, "SELECT count(*) FROM pg_tables WHERE tablename = 'things'"); got != 1 {
		t.Errorf("the first database has %d tables called things, want 1", got)
	}
	if got := query(t, two, "SELECT count(*) FROM pg_tables WHERE tablename = 'things'"); got != 0 {
		t.Errorf("the second database has %d tables called things, want 0", got)
	}
}

func TestAServerComesBackOnItsPortWithItsData(t *testing.T) {
	server := pgtest.NewServer(t)
	url := server.URL()
	query(t, url, "CREATE TABLE things AS SELECT 7 AS n")

	for name, end := range map[string]func(testing.TB){"stop": server.Stop, "kill": server.Kill, "crash": server.Crash} {
		end(t)
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		if conn, err := pgx.Connect(ctx, url); err == nil {
			conn.Close(ctx)
			t.Errorf("after %s the server still answers", name)
		}
		cancel()

		server.Start(t)
		if got := query(t, url, "SELECT n FROM things"); got != 7 {
			t.Errorf("after %s and start: n is %d, want 7", name, got)
		}
	}
}

// query runs one statement and returns the number in its first row, if any.
func query(t *testing.T, url, sql string) (n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, sql)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	if rows.Next() {
		if err := rows.Scan(&n); err != nil {
			t.Fatal(err)
		}
	}
	rows.Close()
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestAFrozenServerSaysNothingUntilItIsThawed(t *testing.T) {
	server := pgtest.NewServer(t)
	server.Freeze(t)
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	if conn, err := pgx.Connect(ctx, server.URL()); err == nil {
		conn.Close(ctx)
		t.Error("a frozen server answers")
	}
	server.Thaw(t)
	if got := query(t, server.URL(), "SELECT 7"); got != 7 {
		t.Errorf("after the thaw: got %d, want 7", got)
	}
}
