package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"llmproxy/bench/testbed"
)

// nginxConf is a proxy without keys, limits, choice, counting or a look at the
// body: what has to be paid for passing bytes on, by one of the best at it.
const nginxConf = `worker_processes auto;
worker_rlimit_nofile 16384;
pid @DIR@/nginx.pid;
error_log @DIR@/nginx.err warn;
events { worker_connections 8192; }
http {
	access_log off;
	keepalive_timeout 300s;
	keepalive_requests 100000000;
	tcp_nodelay on;
	client_max_body_size 64m;
	client_body_buffer_size 2m;
	client_body_temp_path @DIR@/body;
	proxy_temp_path @DIR@/proxy;
	fastcgi_temp_path @DIR@/fastcgi;
	uwsgi_temp_path @DIR@/uwsgi;
	scgi_temp_path @DIR@/scgi;
	upstream provider {
		server @PROVIDER@;
		keepalive 64;
		keepalive_requests 100000000;
		keepalive_timeout 300s;
	}
	server {
		listen @LISTEN@ backlog=4096;
		location / {
			proxy_pass http://provider;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_buffering off;
			proxy_read_timeout 300s;
		}
	}
}
`

var errNoNginx = errors.New("nginx is not installed: it is what llm-proxy is measured against " +
	"(Debian, Ubuntu: apt-get install nginx-light; macOS has no /proc to measure with)")

func startNginx(b *testbed.Bed) (*testbed.Server, error) {
	program, err := findNginx()
	if err != nil {
		return nil, err
	}
	addr, err := testbed.FreeAddr()
	if err != nil {
		return nil, err
	}
	conf := strings.NewReplacer("@DIR@", b.Dir, "@PROVIDER@", b.Provider, "@LISTEN@", addr).Replace(nginxConf)
	file := filepath.Join(b.Dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		return nil, err
	}
	s, err := b.Start("nginx", addr, "", nil, program, "-c", file, "-e", filepath.Join(b.Dir, "nginx.err"), "-g", "daemon off;")
	if err != nil {
		return nil, err
	}
	return s, b.Await(s, "/")
}

// findNginx looks where servers are, too, which is not on everyone's PATH.
func findNginx() (string, error) {
	for _, name := range []string{"nginx", "/usr/sbin/nginx", "/usr/local/sbin/nginx"} {
		if program, err := exec.LookPath(name); err == nil {
			return program, nil
		}
	}
	return "", errNoNginx
}
