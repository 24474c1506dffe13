// Package pgtest gives tests a private PostgreSQL: a cluster in a temporary
// folder on a free port of 127.0.0.1, with nothing asked of the machine but
// that PostgreSQL's programs are installed.
//
// Most tests want a database of their own in a server that all tests of the
// process share:
//
//	func TestMain(m *testing.M) { pgtest.Main(m) }
//
//	func TestX(t *testing.T) {
//		url := pgtest.New(t)
//
// Tests of outages take a whole Server, which they may stop, kill and start.
package pgtest

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// shared is the server that New hands out databases of. It starts with the
// first New and ends with Run.
var shared struct {
	once   sync.Once
	server *Server
	err    error
	names  atomic.Int64
}

// Main runs the tests of a package, stops the shared server and exits.
func Main(m interface{ Run() int }) {
	os.Exit(Run(m).Run())
}

// Run wraps m so that its Run stops the shared server once the tests are done.
// It is for a TestMain that has something to look at after that:
//
//	goleak.VerifyTestMain(pgtest.Run(m))
func Run(m interface{ Run() int }) interface{ Run() int } {
	return running{m}
}

type running struct{ m interface{ Run() int } }

func (r running) Run() int {
	code := r.m.Run()
	if shared.server != nil {
		shared.server.remove()
	}
	return code
}

// New makes an empty database in the shared server and returns its URL. The
// database is dropped when the test ends, whoever is still connected to it.
func New(t testing.TB) string {
	t.Helper()
	shared.once.Do(func() { shared.server, shared.err = newServer() })
	if shared.err != nil {
		t.Fatal(shared.err)
	}

	name := fmt.Sprintf("test_%d", shared.names.Add(1))
	if err := shared.server.run("CREATE DATABASE " + name); err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() {
		if err := shared.server.run("DROP DATABASE " + name + " WITH (FORCE)"); err != nil {
			t.Errorf("pgtest: %v", err)
		}
	})
	return shared.server.url(name)
}

// NewServer starts a server of the test's own, which it may stop and start. It
// is gone when the test ends.
func NewServer(t testing.TB) *Server {
	t.Helper()
	s, err := newServer()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.remove)
	return s
}

// run executes one statement as the superuser.
func (s *Server) run(statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.URL())
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, statement)
	return err
}
