package config

import (
	"errors"
	"io"
	"strings"
	"testing"
)

// The listener for operators is this machine's alone unless somebody says
// otherwise, and never the clients' port.
func TestAdminAddr(t *testing.T) {
	f := func(e env, want string, problems ...string) {
		t.Helper()
		o, err := ParseOptions(nil, e.lookup, io.Discard)
		var got Problems
		if errors.As(err, &got); strings.Join(fields(got), " ") != strings.Join(problems, " ") {
			t.Errorf("%v: problems %q, want %q", e, got, problems)
		}
		if o != nil && o.AdminAddr != want {
			t.Errorf("%v: %q, want %q", e, o.AdminAddr, want)
		}
	}
	f(env{}, "")
	f(env{"ADMIN_ON_PUBLIC_PORT": "true", "ADMIN_PLAIN_HTTP": "true"}, "")
	f(env{"ADMIN_ADDR": "127.0.0.1:18001"}, "127.0.0.1:18001")
	f(env{"ADMIN_ADDR": " 127.8.8.8:018001\n"}, "127.8.8.8:18001")
	f(env{"ADMIN_ADDR": "[::1]:18001"}, "[::1]:18001")
	f(env{"ADMIN_ADDR": "localhost:18001"}, "localhost:18001")
	f(env{"ADMIN_ADDR": "127.0.0.1:0", "PORT": "0"}, "127.0.0.1:0")

	f(env{"ADMIN_ADDR": "127.0.0.1"}, "", "ADMIN_ADDR")
	f(env{"ADMIN_ADDR": "18001"}, "", "ADMIN_ADDR")
	f(env{"ADMIN_ADDR": ":18001"}, "", "ADMIN_ADDR") // every interface is said, not left out
	f(env{"ADMIN_ADDR": "127.0.0.1:http"}, "", "ADMIN_ADDR")
	f(env{"ADMIN_ADDR": "127.0.0.1:65536"}, "", "ADMIN_ADDR")
	f(env{"ADMIN_ADDR": "127.0.0.1:-1"}, "", "ADMIN_ADDR")
	f(env{"ADMIN_ADDR": "http://127.0.0.1:18001"}, "", "ADMIN_ADDR")
	f(env{"ADMIN_ADDR": "127.0.0.1:18000"}, "", "ADMIN_ADDR")              // PORT
	f(env{"ADMIN_ADDR": "127.0.0.2:9", "PORT": "9"}, "", "ADMIN_ADDR")     // the same with HOST=0.0.0.0
	f(env{"ADMIN_ADDR": "0.0.0.0:18000"}, "", "ADMIN_ADDR", "ADMIN_ADDR")  // both faults
	f(env{"ADMIN_ADDR": "127.0.0.1.evil.example:18001"}, "", "ADMIN_ADDR") // no address: a name
	f(env{"ADMIN_ADDR": "0.0.0.0:18001"}, "", "ADMIN_ADDR")                // plain, for everybody
	f(env{"ADMIN_ADDR": "[::]:18001"}, "", "ADMIN_ADDR")                   //
	f(env{"ADMIN_ADDR": "10.0.0.7:18001"}, "", "ADMIN_ADDR")               //
	f(env{"ADMIN_ADDR": "gateway:18001"}, "", "ADMIN_ADDR")                //
	f(env{"ADMIN_ADDR": "[::ffff:10.0.0.7]:18001"}, "", "ADMIN_ADDR")      //
	f(env{"ADMIN_ADDR": "0.0.0.0:18001", "ADMIN_PLAIN_HTTP": "false"}, "", "ADMIN_ADDR")

	f(env{"ADMIN_ADDR": "0.0.0.0:18001", "ADMIN_PLAIN_HTTP": "true"}, "0.0.0.0:18001")
	f(env{"ADMIN_ADDR": "gateway:18001", "TLS_CERT_FILE": "c", "TLS_KEY_FILE": "k"}, "gateway:18001")
}
