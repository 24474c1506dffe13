package config

import (
	"encoding/json"
	"fmt"
	"math/big"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestHashKey(t *testing.T) {
	if got := HashKey("abc"); got != "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" {
		t.Errorf("HashKey(abc) = %s", got)
	}
}

func TestNewKey(t *testing.T) {
	shape, seen := regexp.MustCompile(`^sk-[0-9A-Za-z]{43}$`), map[string]bool{}
	for range 1000 {
		key := NewKey()
		if !shape.MatchString(key) || seen[key] || CheckKey(key) != "" {
			t.Fatalf("NewKey() = %q", key)
		}
		seen[key] = true
	}
}

func TestEncode62IsTheNumber(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), keyBytes, keyBytes).Draw(t, "random")
		n := new(big.Int)
		for _, c := range encode62(b) {
			n.Add(n.Mul(n, big.NewInt(62)), big.NewInt(int64(strings.IndexRune(base62, c))))
		}
		if n.Cmp(new(big.Int).SetBytes(b)) != 0 {
			t.Fatalf("%x is written as %s", b, encode62(b))
		}
	})
}

func TestPreview(t *testing.T) {
	f := func(key, want string) {
		t.Helper()
		if got := Preview(key); got != want {
			t.Errorf("Preview(%q) = %q, want %q", key, got, want)
		}
	}
	f("", "")
	f("a", "…")
	f("ab", "a…")
	f("abcd", "a…d")
	f("sk-limited", "sk-…ed")
	f("sk-0123456789abcdef", "sk-01…cdef")
	f("sk-0123456789abcdefghijklmnopqrstuvwxyz", "sk-01…wxyz")
	f("ключключ", "..…..")
}

func TestPreviewShowsAtMostHalf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.String().Draw(t, "key")
		got := Preview(key)
		if shown := len(got) - len("…"); key != "" && (shown > len(key)/2 || shown > 9) || !utf8.ValidString(got) {
			t.Fatalf("Preview(%q) = %q", key, got)
		}
	})
}

func TestCheckKey(t *testing.T) {
	f := func(key string, good bool) {
		t.Helper()
		if got := CheckKey(key); (got == "") != good {
			t.Errorf("CheckKey(%q) = %q, want good: %v", key, got, good)
		}
	}
	f("sk-limited", true)
	f("sk-my-secret-key", true)
	f("12345678", true)
	f("1234567", false)
	f("", false)
	f("sk-with space", false)
	f("sk-with\r\nbreak", false)
	f(strings.Repeat("k", 512), true)
	f(strings.Repeat("k", 513), false)
}

func TestSecretDoesNotPrint(t *testing.T) {
	p := Provider{APIKey: "CANARY"}
	asJSON, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{fmt.Sprintf("%v %+v %#v %s %q", p, p, p, p.APIKey, p.APIKey), string(asJSON)} {
		if strings.Contains(text, "CANARY") {
			t.Errorf("the secret is printed: %s", text)
		}
	}
}
