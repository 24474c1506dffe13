package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// patience bounds every wait for a server process to come or go.
const patience = 20 * time.Second

// Server is one PostgreSQL cluster and, while it is started, its process.
//
// It trusts everybody who connects, and does not sync to disk: it is for tests
// only. Its methods are for one goroutine, the test's.
type Server struct {
	dir     string // data and sockets are in here, owned by account
	bin     string // where initdb and postgres are
	port    int    // the same over every Start
	account *syscall.Credential
	process *exec.Cmd // nil while stopped
	gone    chan error
}

// newServer makes a cluster and starts it.
func newServer() (*Server, error) {
	bin, err := programs()
	if err != nil {
		return nil, err
	}
	s := &Server{bin: bin}
	if err := s.make(); err != nil {
		s.remove()
		return nil, fmt.Errorf("pgtest: %w", err)
	}
	// A port that was free a moment ago may be taken by now.
	for range 5 {
		if s.port, err = freePort(); err != nil {
			break
		}
		if err = s.start(); err == nil {
			return s, nil
		}
	}
	s.remove()
	return nil, fmt.Errorf("pgtest: %w", err)
}

// programs finds the folder of initdb and postgres.
func programs() (string, error) {
	if found, err := exec.LookPath("initdb"); err == nil {
		if real, err := filepath.EvalSymlinks(found); err == nil && runnable(filepath.Dir(real)) {
			return filepath.Dir(real), nil
		}
	}
	newest, folder := -1, ""
	folders, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	for _, f := range folders {
		version, err := strconv.Atoi(filepath.Base(filepath.Dir(f)))
		if err == nil && version > newest && runnable(f) {
			newest, folder = version, f
		}
	}
	if folder == "" {
		return "", errors.New("pgtest: no PostgreSQL found (initdb and postgres, in PATH or /usr/lib/postgresql/*/bin); install it: apt-get install postgresql")
	}
	return folder, nil
}

func runnable(folder string) bool {
	for _, program := range []string{"initdb", "postgres"} {
		if _, err := exec.LookPath(filepath.Join(folder, program)); err != nil {
			return false
		}
	}
	return true
}

// make creates the folder and the cluster in it.
func (s *Server) make() error {
	var err error
	if s.account, err = serverAccount(); err != nil {
		return err
	}
	if s.dir, err = os.MkdirTemp(tempRoot(s.account != nil), "pgtest-"); err != nil {
		return err
	}
	if s.account != nil {
		if err := os.Chown(s.dir, int(s.account.Uid), int(s.account.Gid)); err != nil {
			return err
		}
	}

	initdb := exec.Command(filepath.Join(s.bin, "initdb"),
		"--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "--pgdata="+s.data())
	initdb.SysProcAttr = attributes(s.account)
	initdb.Dir = s.dir
	if said, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, said)
	}
	return nil
}

// serverAccount returns whom the server runs as: PostgreSQL refuses to be
// root, so that root borrows the account that its package made.
func serverAccount() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		account, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(account.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(account.Gid, 10, 32)
		if uidErr == nil && gidErr == nil {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
		}
	}
	return nil, errors.New("PostgreSQL does not run as root, and there is no account postgres or nobody to run it as")
}

// tempRoot returns where temporary folders may lie; for another account every
// folder on the way must let it through.
func tempRoot(otherAccount bool) string {
	root := os.TempDir()
	if !otherAccount {
		return root
	}
	for folder := root; folder != filepath.Dir(folder); folder = filepath.Dir(folder) {
		if at, err := os.Stat(folder); err != nil || at.Mode().Perm()&0o001 == 0 {
			return "/tmp"
		}
	}
	return root
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// URL returns the address of the server's default database.
func (s *Server) URL() string { return s.url("postgres") }

func (s *Server) url(database string) string {
	return fmt.Sprintf("postgresql://postgres@127.0.0.1:%d/%s?sslmode=disable", s.port, database)
}

// Start starts a stopped server on its old port, and returns when it answers.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	err := s.start()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	// What a crash has left of the processes before may take a moment to go.
	for end := time.Now().Add(patience); err != nil && strings.Contains(err.Error(), "pre-existing shared memory") && time.Now().Before(end); {
		<-again.C
		err = s.start()
	}
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
}

// Stop shuts the server down in order: clients are cut off, data is kept.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	if err := s.end(syscall.SIGINT); err != nil {
		t.Fatalf("pgtest: %v", err)
	}
}

// Kill ends the server as a crash does: nothing is finished, clients are cut
// off, and the next Start recovers what was committed.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	if err := s.end(syscall.SIGQUIT); err != nil {
		t.Fatalf("pgtest: %v", err)
	}
}

func (s *Server) start() error {
	if s.process != nil {
		return errors.New("the server is already started")
	}
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()

	process := exec.Command(filepath.Join(s.bin, "postgres"),
		"-D", s.data(), "-p", strconv.Itoa(s.port), "-k", s.dir,
		"-c", "listen_addresses=127.0.0.1", "-c", "max_connections=60", "-c", "shared_buffers=16MB",
		"-c", "fsync=off", "-c", "full_page_writes=off",
		"-c", "autovacuum=off", "-c", "logging_collector=off")
	process.SysProcAttr = attributes(s.account)
	process.Dir, process.Stdout, process.Stderr = s.dir, log, log
	if err := process.Start(); err != nil {
		return err
	}
	s.process, s.gone = process, make(chan error, 1)
	go func() { s.gone <- process.Wait() }()
	if err := s.answers(); err != nil {
		_ = s.end(syscall.SIGQUIT)
		return err
	}
	return nil
}

// answers waits until the server takes connections.
func (s *Server) answers() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		conn, err := pgx.Connect(ctx, s.URL())
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-s.gone:
			s.process = nil
			return fmt.Errorf("postgres ended at its start:\n%s", s.lastWords())
		case <-ctx.Done():
			return fmt.Errorf("postgres does not answer: %w\n%s", err, s.lastWords())
		case <-again.C:
		}
	}
}

// end sends the signal and waits for the process to be gone.
func (s *Server) end(signal syscall.Signal) error {
	if s.process == nil {
		return nil
	}
	if err := s.process.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-s.gone:
		s.process = nil
		return nil
	case <-late.C:
		_ = s.process.Process.Kill()
		<-s.gone
		s.process = nil
		return fmt.Errorf("postgres did not end on %v", signal)
	}
}

func (s *Server) remove() {
	_ = s.end(syscall.SIGQUIT)
	if s.dir != "" {
		_ = os.RemoveAll(s.dir)
	}
}

// lastWords returns the end of the server's log.
func (s *Server) lastWords() string {
	log, err := os.ReadFile(filepath.Join(s.dir, "log"))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(log)), "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}

func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

// RequirePasswords makes the server ask every user but the superuser for a
// password from now on.
func (s *Server) RequirePasswords(t testing.TB) {
	t.Helper()
	rules := "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
	if err := os.WriteFile(filepath.Join(s.data(), "pg_hba.conf"), []byte(rules), 0o600); err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	if err := s.run("SELECT pg_reload_conf()"); err != nil {
		t.Fatalf("pgtest: %v", err)
	}
}
