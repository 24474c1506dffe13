package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"llmproxy/config"
	"llmproxy/store"
)

// commandTimeout bounds commands that talk to the database or to a gateway.
const commandTimeout = 10 * time.Second

// migrate changes the database's schema by hand. How long that may take is the
// Migrator's to say, who knows of locks.
func migrate(ctx context.Context, o *config.Options, out io.Writer) error {
	m, err := store.OpenMigrator(store.Options{URL: o.DBURL.Reveal(), Dir: o.DataDir})
	if err != nil {
		return err
	}
	switch o.Args[0] {
	case "up":
		err = m.Up(ctx)
	case "down":
		err = m.Down(ctx)
	case "force":
		n, _ := strconv.Atoi(o.Args[1]) // ParseOptions has checked it
		err = m.Force(ctx, n)
	}
	if err != nil {
		return err
	}
	version, dirty, err := m.Version(ctx)
	if err != nil {
		return err
	}
	if dirty {
		fmt.Fprintf(out, "version %d, dirty: repair the schema, then llm-proxy migrate force %d\n", version, version)
		return nil
	}
	fmt.Fprintf(out, "version %d\n", version)
	return nil
}

// check loads the configuration as serve would, and says what is wrong with it.
func check(ctx context.Context, o *config.Options, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	s, err := store.Open(store.Options{URL: o.DBURL.Reveal(), Dir: o.DataDir, Sealer: store.NewSealer(o.SecretKey.Reveal())})
	if err != nil {
		return err
	}
	defer s.Close()
	set, err := s.Load(ctx)
	if err != nil {
		return err
	}
	if err := set.Validate(); err != nil {
		return err
	}
	fmt.Fprintf(out, "ok: version %d, %s, %s\n", set.Version, count(len(set.Providers), "provider"), count(len(set.Credentials), "client key"))
	return nil
}

// askHealth asks the gateway with these settings whether it serves: for
// container health checks, which have no curl.
func askHealth(_ context.Context, o *config.Options, out io.Writer) error {
	scheme, host := "http", o.Host
	if o.TLSCertFile != "" {
		scheme = "https"
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	client := fasthttp.Client{DialDualStack: true, TLSConfig: &tls.Config{InsecureSkipVerify: true}} // our own address; nothing secret is sent
	status, body, err := client.GetTimeout(nil, scheme+"://"+net.JoinHostPort(host, strconv.Itoa(o.Port))+"/health", 3*time.Second)
	if err != nil {
		return fmt.Errorf("the gateway does not answer: %w", err)
	}
	if status != fasthttp.StatusOK {
		return fmt.Errorf("the gateway answers %d", status)
	}
	fmt.Fprintf(out, "%s\n", body)
	return nil
}
