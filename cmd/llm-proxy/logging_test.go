package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"llmproxy/internal/gatewaytest"
)

// A log that nobody reads, on a real pipe, stops no request; when it is read
// again it tells what was lost. When its reader goes away the gateway serves
// on, and it ends as it should.
func TestStuckLogStopsNoRequest(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd, url := startBare(t, t.TempDir(), w, "LOG_LEVEL=debug", "LOG_QUEUE=16")
	w.Close()
	client := &http.Client{Transport: &http.Transport{}, Timeout: 20 * time.Second}
	defer client.CloseIdleConnections()
	ask := func(path string) string {
		t.Helper()
		resp, err := client.Post(url+path, "application/json", strings.NewReader(`{"model":"m"}`))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var body bytes.Buffer
		if _, err := body.ReadFrom(resp.Body); err != nil || resp.StatusCode != 401 {
			t.Fatalf("%d %s %v", resp.StatusCode, &body, err)
		}
		return body.String()
	}
	for range 1000 { // lines of 300 bytes, of which a pipe holds 64 KB
		ask("/v1/chat/completions")
	}
	resp, err := client.Get(url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	var page bytes.Buffer
	_, _ = page.ReadFrom(resp.Body)
	resp.Body.Close()
	if n := regexp.MustCompile(`limit_hits_total\{limit="log_queue"\} ([1-9]\d*)`).FindString(page.String()); n == "" {
		t.Error("no line is counted as lost: the log was not stuck")
	}

	told := false
	for lines := bufio.NewScanner(r); !told && lines.Scan(); {
		var line map[string]any
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatalf("%q: %v", lines.Text(), err)
		}
		told = line["msg"] == "log lines lost" && line["lines"].(float64) > 0
		if line["msg"] == "request" {
			ask("/v1/chat/completions") // lines come again, and the first of them tells
		}
	}
	if !told {
		t.Error("the log does not tell of lost lines")
	}
	r.Close()
	for range 50 {
		ask("/v1/chat/completions")
	}
	client.CloseIdleConnections()
	_ = cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ends with %v", err)
	}
}

// startBare runs a gateway whose standard error is this very file, with these
// settings alone, and returns where it serves.
func startBare(t *testing.T, dir string, stderr *os.File, env ...string) (cmd *exec.Cmd, url string) {
	t.Helper()
	program, err := gatewaytest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd = exec.Command(program, "serve")
	cmd.Dir, cmd.Stderr = dir, stderr
	cmd.Env = append(env, "HOST=127.0.0.1", "PORT=0", "DATA_DIR="+dir, "ADMIN_KEY="+testAdminKey, "SHUTDOWN_GRACE_SECS=5")
	said, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	lines := bufio.NewScanner(said)
	for url == "" && lines.Scan() {
		url = regexp.MustCompile(`http://127[.0-9:]+`).FindString(lines.Text())
	}
	for lines.Scan() && !strings.Contains(lines.Text(), "is it up") { // its last words
	}
	return cmd, url
}

// SIGHUP sets the log's level to that of .env as it is now; a file with faults
// keeps the level, and what is in it is not shown.
func TestHangupReadsTheLevelAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, ".env"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("LOG_LEVEL=warn\n")
	logged := filepath.Join(dir, "log")
	file, err := os.Create(logged)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	cmd, _ := startBare(t, dir, file)
	output := func() string {
		b, err := os.ReadFile(logged)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	f := func(env, want string) {
		t.Helper()
		write(env)
		before := len(output())
		_ = cmd.Process.Signal(syscall.SIGHUP)
		if !soon(func() bool { return strings.Contains(output()[before:], want) }) {
			t.Errorf("%q: %q is not in %s", env, want, output()[before:])
		}
	}
	f("LOG_LEVEL=debug\n", `"msg":"log level read again","log_level":"debug"`)
	secret := gatewaytest.NewCanary("secret")
	f("LOG_LEVEL="+secret+"\n", `"msg":"log level not read again"`)
	f("LOG_LEVEL=error\n", `"msg":"log level read again","log_level":"error"`)
	if strings.Contains(output(), secret) {
		t.Errorf("the log shows what .env holds: %s", output())
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ends with %v", err)
	}
}
