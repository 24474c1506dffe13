package rivals

import (
	"bufio"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"llmproxy/bench/testbed"
)

// A list names rivals of this folder and files; what is not understood is an
// error, for a rival that is left out in silence would look like one that lost.
func TestParse(t *testing.T) {
	file := func(text string) string {
		name := filepath.Join(t.TempDir(), "x.json")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	f := func(list, want string) {
		t.Helper()
		all, err := Parse(list)
		var names []string
		for _, r := range all {
			names = append(names, r.Name)
		}
		if got := strings.Join(names, ","); err == nil && got != want || err != nil && !strings.Contains(err.Error(), want) || err != nil && want == "" {
			t.Fatalf("%s: %s (%v); want %s", list, got, err, want)
		}
	}
	f("", "")
	f(strings.Join(Names(), ","), strings.Join(Names(), ","))
	f("portkey,floor", "portkey,floor")
	f("floor,"+file(`{"name":"mine","command":["mine"],"ready":"/up"}`), "floor,mine")
	f("none", "known are floor, portkey")
	f("floor,floor", "named twice")
	f(file(`{"name":"mine","command":["mine"]}`), "ready")
	f(file(`{"name":"mine","command":["mine"],"ready":"/","port":1}`), "unknown field")
}

// The floor, started as itself and by a description, hands on what the
// provider says, and is asked as the description wants it.
func TestStart(t *testing.T) {
	b, err := testbed.New(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := b.Build("not measured"); err != nil {
		t.Fatal(err)
	}
	if err := b.StartProvider("-answer", "900"); err != nil {
		t.Fatal(err)
	}
	f := func(r Rival, want ...string) {
		t.Helper()
		s, err := r.Start(b, b.Dir)
		if err != nil {
			t.Fatal(err)
		}
		request := s.ChatRequest(false, 500)
		for _, part := range want {
			if !strings.Contains(string(request), part) {
				t.Fatalf("%s: no %q in %s", r.Name, part, request)
			}
		}
		conn, err := net.Dial("tcp", s.Addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := conn.Write(request); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || resp.StatusCode != http.StatusOK || resp.ContentLength != 900 {
			t.Fatalf("%s: %+v (%v)", r.Name, resp, err)
		}
		resp.Body.Close()
	}
	f(Rival{Name: Floor, Ready: "/"}, "Bearer none\r\n", `"`+testbed.Model+`"`)
	f(Rival{
		Name: "described", Ready: "/", Key: "k", Model: "openai/m", Headers: []string{"x-to: @PROVIDER@"},
		Files:   map[string]string{"start.sh": `exec "$FLOOR" -addr @HOST@:@PORT@ -provider @PROVIDER@`},
		Env:     []string{"FLOOR=@RIVALS@/floor"},
		Command: []string{"/bin/sh", "@DIR@/start.sh"},
	}, "Bearer k\r\n", `"model":"openai/m"`, "x-to: "+b.Provider+"\r\nContent-Type:")

	if _, err := (Rival{Name: "missing", Ready: "/", Command: []string{"@RIVALS@/missing"}}).Start(b, b.Dir); err == nil || !strings.Contains(err.Error(), "installed") {
		t.Fatalf("a program that is not there: %v", err)
	}
}
