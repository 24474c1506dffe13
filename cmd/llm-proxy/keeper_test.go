package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"llmproxy/config"
	"llmproxy/metrics"
	"llmproxy/store"
)

func TestKeeperKeepsTheNewest(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	snapshot := store.NewSnapshot(t.TempDir(), nil)
	k := newKeeper(snapshot, metrics.New(metrics.Options{}), slog.New(slog.DiscardHandler))
	for version := range int64(500) {
		k.keep(&config.Set{Version: version})
	}
	k.close()
	set, first, err := snapshot.Load()
	if err != nil || set.Version != 499 {
		t.Fatalf("kept %+v, %v", set, err)
	}

	// What was read from the disk is not written back: it would look newer
	// than it is.
	k = newKeeper(snapshot, metrics.New(metrics.Options{}), slog.New(slog.DiscardHandler))
	set, _, err = k.load()
	if err != nil {
		t.Fatal(err)
	}
	k.keep(set)
	k.close()
	if _, at, err := snapshot.Load(); err != nil || !at.Equal(first) {
		t.Errorf("saved at %v and then at %v, %v", first, at, err)
	}
}

func TestKeeperWithoutADirectory(t *testing.T) {
	var said bytes.Buffer
	m := metrics.New(metrics.Options{})
	k := newKeeper(store.NewSnapshot("/proc/nothing", nil), m, slog.New(slog.NewTextHandler(&said, nil)))
	k.keep(&config.Set{})
	k.close()
	var page strings.Builder
	if _, err := m.WriteTo(&page); err != nil {
		t.Fatal(err)
	}
	if strings.Count(said.String(), "snapshot not written") != 1 || strings.Contains(page.String(), "\nllm_proxy_snapshot_errors_total 0\n") {
		t.Errorf("said %q, counted\n%s", &said, &page)
	}
}
