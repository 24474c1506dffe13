package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// hand changes the configuration by one of the roads that lead there. Each
// change is one version, which is returned.
type hand interface {
	add(t *testing.T, table string, row fields) (id, version int64)
	set(t *testing.T, table string, id int64, row fields) (version int64)
	remove(t *testing.T, table string, id int64) (version int64)
}

// fields are some columns of a row; they are named alike in the Admin API.
type fields map[string]any

// adminHand uses the Admin API.
type adminHand struct{ g *inProcess }

func (h adminHand) add(t *testing.T, table string, row fields) (id, version int64) {
	t.Helper()
	status, answer := h.g.admin(t, "POST", "/"+table, row)
	if status != 201 {
		t.Fatalf("adding %v: %d %v", row, status, answer)
	}
	object := answer[strings.TrimSuffix(table, "s")].(map[string]any)
	return int64(object["id"].(float64)), int64(answer["version"].(float64))
}

func (h adminHand) set(t *testing.T, table string, id int64, row fields) int64 {
	t.Helper()
	status, answer := h.g.admin(t, "PATCH", fmt.Sprintf("/%s/%d", table, id), row)
	if status != 200 {
		t.Fatalf("setting %v of %s %d: %d %v", row, table, id, status, answer)
	}
	return int64(answer["version"].(float64))
}

func (h adminHand) remove(t *testing.T, table string, id int64) int64 {
	t.Helper()
	status, answer := h.g.admin(t, "DELETE", fmt.Sprintf("/%s/%d", table, id), nil)
	if status != 200 {
		t.Fatalf("removing %s %d: %d %v", table, id, status, answer)
	}
	return int64(answer["version"].(float64))
}

// sqlHand writes into the tables. When it is silent nothing is announced, as
// if LISTEN were broken: the version rises, and who looks at it knows.
type sqlHand struct {
	db     *pgx.Conn
	silent bool
}

func (h sqlHand) add(t *testing.T, table string, row fields) (id, version int64) {
	t.Helper()
	var names, places []string
	var values []any
	for i, name := range slices.Sorted(maps.Keys(row)) {
		column, value := h.column(name, row[name])
		names, places, values = append(names, column), append(places, fmt.Sprintf("$%d", i+1)), append(values, value)
	}
	version = h.do(t, func(tx pgx.Tx) error {
		return tx.QueryRow(context.Background(), fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s) RETURNING id",
			table, strings.Join(names, ", "), strings.Join(places, ", ")), values...).Scan(&id)
	})
	return id, version
}

func (h sqlHand) set(t *testing.T, table string, id int64, row fields) int64 {
	t.Helper()
	var settings []string
	values := []any{id}
	for i, name := range slices.Sorted(maps.Keys(row)) {
		column, value := h.column(name, row[name])
		settings, values = append(settings, fmt.Sprintf("%s = $%d", column, i+2)), append(values, value)
	}
	return h.do(t, func(tx pgx.Tx) error {
		_, err := tx.Exec(context.Background(), fmt.Sprintf("UPDATE %s SET %s WHERE id = $1", table, strings.Join(settings, ", ")), values...)
		return err
	})
}

func (h sqlHand) remove(t *testing.T, table string, id int64) int64 {
	t.Helper()
	return h.do(t, func(tx pgx.Tx) error {
		_, err := tx.Exec(context.Background(), fmt.Sprintf("DELETE FROM %s WHERE id = $1", table), id)
		return err
	})
}

// column turns a field of the Admin API into a column: a key is stored as its
// hash, objects as JSON.
func (h sqlHand) column(name string, value any) (string, any) {
	if name == "key" {
		return "credential_key", hashOf(value.(string))
	}
	switch value.(type) {
	case map[string]string, []string:
		b, _ := json.Marshal(value)
		return name, string(b)
	}
	return name, value
}

func (h sqlHand) do(t *testing.T, change func(pgx.Tx) error) (version int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	err := pgx.BeginFunc(ctx, h.db, func(tx pgx.Tx) error {
		if h.silent {
			if _, err := tx.Exec(ctx, "SET LOCAL session_replication_role = replica"); err != nil {
				return err
			}
		}
		if err := change(tx); err != nil {
			return err
		}
		if h.silent {
			if _, err := tx.Exec(ctx, "UPDATE config_version SET version = version + 1, updated_at = clock_timestamp()"); err != nil {
				return err
			}
		}
		return tx.QueryRow(ctx, "SELECT version FROM config_version").Scan(&version)
	})
	if err != nil {
		t.Fatal(err)
	}
	return version
}

// reloadHand writes silently and then asks for a reload.
type reloadHand struct {
	sqlHand
	g *inProcess
}

func (h reloadHand) add(t *testing.T, table string, row fields) (id, version int64) {
	t.Helper()
	id, version = h.sqlHand.add(t, table, row)
	return id, h.reload(t, version)
}

func (h reloadHand) set(t *testing.T, table string, id int64, row fields) int64 {
	t.Helper()
	return h.reload(t, h.sqlHand.set(t, table, id, row))
}

func (h reloadHand) remove(t *testing.T, table string, id int64) int64 {
	t.Helper()
	return h.reload(t, h.sqlHand.remove(t, table, id))
}

func (h reloadHand) reload(t *testing.T, version int64) int64 {
	t.Helper()
	status, answer := h.g.admin(t, "POST", "/config/reload", nil)
	if status != 200 || int64(answer["version"].(float64)) < version {
		t.Fatalf("reload after version %d: %d %v", version, status, answer)
	}
	return version
}
