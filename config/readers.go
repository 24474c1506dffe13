package config

import (
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// reader turns a setting's text into its value. read answers with what is
// wrong, never with the text: it may be a secret in the wrong place.
type reader struct {
	read   func(text string) (fault string)
	isBool bool // as a flag it needs no value
}

func text(to *string) reader {
	return reader{read: func(s string) string {
		if strings.ContainsFunc(s, unicode.IsControl) {
			return "must not hold control characters"
		}
		*to = s
		return ""
	}}
}

// secret is a text that does not print; least is how short it may be.
func secret(to *Secret, least int) reader {
	return reader{read: func(s string) string {
		if len(s) < least {
			return fmt.Sprintf("must be at least %d characters long", least)
		}
		*to = Secret(s)
		return ""
	}}
}

// headerKey is a secret that travels in a header.
func headerKey(to *Secret, least int) reader {
	return reader{read: func(s string) string {
		if fault := checkToken(s, maxAPIKey); fault != "" {
			return fault
		}
		return secret(to, least).read(s)
	}}
}

// dbURL looks at the scheme only: the rest is the store's to read.
func dbURL(to *Secret) reader {
	return reader{read: func(s string) string {
		scheme, _, _ := strings.Cut(s, "://")
		switch strings.ToLower(scheme) {
		case "postgres", "postgresql":
			*to = Secret(s)
			return ""
		}
		return "must begin with postgresql:// (leave it empty for the embedded store)"
	}}
}

func hostName(to *string) reader {
	return reader{read: func(s string) string {
		s = strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")
		if !isHost(s) {
			return "must be a host name or an IP address, without a port"
		}
		*to = s
		return ""
	}}
}

func apiBase(to *string) reader {
	return reader{read: func(s string) string {
		s = strings.TrimRight(s, "/")
		*to = s
		return checkAPIBase(s)
	}}
}

// prefix is what stands before the slash of a model's name.
func prefix(to *string) reader {
	return reader{read: func(s string) string {
		if checkModel(s) != "" || strings.ContainsAny(s, "*") || strings.HasPrefix(s, "/") || strings.HasSuffix(s, "/") {
			return "must be the part of a model's name before its slash, like Proxy"
		}
		*to = s
		return ""
	}}
}

func boolean(to *bool) reader {
	return reader{isBool: true, read: func(s string) string {
		switch strings.ToLower(s) {
		case "true", "1", "yes", "on":
			*to = true
		case "false", "0", "no", "off":
			*to = false
		default:
			return "must be true or false"
		}
		return ""
	}}
}

func number[N int | int64](to *N, least, most int64) reader {
	return reader{read: func(s string) string {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || n < least || n > most {
			return wantNumber(least, most)
		}
		*to = N(n)
		return ""
	}}
}

// share is a part of the whole: 0 is none, 1 is all.
func share(to *float64) reader {
	return reader{read: func(s string) string {
		part, err := strconv.ParseFloat(s, 64)
		if err != nil || !(part >= 0 && part <= 1) { // which NaN is neither
			return "must be a number from 0 to 1"
		}
		*to = part
		return ""
	}}
}

func seconds(to *time.Duration, least int64) reader { return duration(to, time.Second, least) }
func millis(to *time.Duration) reader               { return duration(to, time.Millisecond, 0) }

// duration is a whole number of units, up to a day.
func duration(to *time.Duration, unit time.Duration, least int64) reader {
	return reader{read: func(s string) string {
		var n int64
		fault := number(&n, least, int64(24*time.Hour/unit)).read(s)
		*to = time.Duration(n) * unit
		return fault
	}}
}

// size is a number of bytes: 33554432, 32MiB or 32MB.
func size[N int | int64](to *N, least, most int64) reader {
	return reader{read: func(s string) string {
		n, ok := parseSize(s)
		if !ok || n < least || n > most {
			return fmt.Sprintf("must be a size like 32MiB, from %s to %s", showSize(least), showSize(most))
		}
		*to = N(n)
		return ""
	}}
}

func parseSize(s string) (int64, bool) {
	s = strings.ToLower(strings.TrimSpace(s))
	unit := int64(1)
	for _, u := range []struct {
		name  string
		bytes int64
	}{{"kib", 1 << 10}, {"mib", 1 << 20}, {"gib", 1 << 30}, {"kb", 1e3}, {"mb", 1e6}, {"gb", 1e9}, {"b", 1}} {
		if digits, found := strings.CutSuffix(s, u.name); found {
			s, unit = strings.TrimRight(digits, " "), u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/unit {
		return 0, false
	}
	return n * unit, true
}

// showSize writes a size in its largest whole unit.
func showSize(n int64) string {
	for _, u := range []struct {
		name  string
		bytes int64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n >= u.bytes && n%u.bytes == 0 {
			return strconv.FormatInt(n/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10)
}

func choice(to *string, of ...string) reader {
	return reader{read: func(s string) string {
		for _, one := range of {
			if strings.EqualFold(s, one) {
				*to = one
				return ""
			}
		}
		return "must be one of " + strings.Join(of, ", ")
	}}
}

func logLevel(to *slog.Level) reader {
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	return reader{read: func(s string) string {
		var name string
		if fault := choice(&name, "debug", "info", "warn", "error").read(s); fault != "" {
			return fault
		}
		*to = levels[name]
		return ""
	}}
}
