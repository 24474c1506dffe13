package store

import (
	"errors"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	applicationName = "llm-proxy" // how pg_stat_activity shows us, unless the URL says otherwise

	connectTimeout = 3 * time.Second // unless connect_timeout is in the URL
	pingTimeout    = 2 * time.Second
	maxConns       = 8 // unless pool_max_conns is in the URL
)

const wantedURL = "want postgresql://USER:PASSWORD@HOST:5432/DATABASE"

// parseURL reads a DB_URL. Its errors say what is wrong and repeat nothing
// that could be a password, or a piece of one that a forgotten %-escape moved
// elsewhere.
func parseURL(raw string) (*pgxpool.Config, error) {
	scheme, rest, found := strings.Cut(raw, "://")
	if !found {
		return nil, errors.New("DB_URL: not a URL; " + wantedURL)
	}
	switch strings.ToLower(scheme) {
	case "postgres", "postgresql":
	default:
		return nil, errors.New("DB_URL: " + named(scheme) + " is not a scheme for PostgreSQL; " + wantedURL)
	}
	rest, password, err := cutPassword(rest)
	if err != nil {
		return nil, err
	}
	cfg, err := pgxpool.ParseConfig("postgresql://" + rest)
	if err != nil {
		return nil, errors.New("DB_URL: " + reason(err, rest))
	}
	if password != "" {
		cfg.ConnConfig.Password = password
	}
	limit(cfg, rest)
	return cfg, nil
}

// named quotes a scheme if it can be nothing else.
func named(scheme string) string {
	if regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9+.-]{0,30}$`).MatchString(scheme) {
		return `"` + scheme + `"`
	}
	return "what stands before ://"
}

// cutPassword takes the password out of what follows the scheme, so that no
// later message can hold it. As in libpq the user part ends at the first '@',
// if that comes before any '/'.
func cutPassword(rest string) (without, password string, err error) {
	const escape = "DB_URL: a password with one of / @ % in it must have it written as %2F, %40 or %25"
	if i := strings.IndexAny(rest, "@/"); i >= 0 && rest[i] == '@' {
		user, escaped, _ := strings.Cut(rest[:i], ":")
		if password, err = url.PathUnescape(escaped); err != nil {
			return "", "", errors.New(escape)
		}
		rest = user + rest[i:]
	}
	address, _, _ := strings.Cut(rest, "?")
	if strings.Count(address, "@") > 1 || strings.Contains(address, "/") && strings.Contains(address[strings.Index(address, "/"):], "@") {
		return "", "", errors.New(escape)
	}
	return rest, password, nil
}

// quotable is what may stand in a URL, password taken out, for a message to
// quote from it: hosts, ports, a database, and options of the plain kind.
var quotable = regexp.MustCompile(`^([^@]*@)?[A-Za-z0-9.,:/_\[\]-]*(\?[A-Za-z0-9.,:/_&=+-]*)?$`)

// reason returns pgx's reason for refusing a URL, unless what is left of the
// URL could still hold a secret.
func reason(err error, rest string) string {
	if !quotable.MatchString(rest) || strings.Contains(strings.ToLower(rest), "pass") {
		return "cannot be read; " + wantedURL + ", with what is not a letter or digit in the password written as %XX"
	}
	// pgx quotes the URL between back-quotes and then says what is wrong.
	text := oneLine(err.Error())
	if i := strings.LastIndex(text, "`: "); i >= 0 {
		text = text[i+len("`: "):]
	}
	return text + "; " + wantedURL
}

// limit puts in our bounds where the URL does not set its own.
func limit(cfg *pgxpool.Config, rest string) {
	_, query, _ := strings.Cut(rest, "?")
	if !strings.Contains(query, "pool_max_conns=") {
		cfg.MaxConns = maxConns
	}
	conn := cfg.ConnConfig
	if conn.ConnectTimeout == 0 {
		conn.ConnectTimeout = connectTimeout
	}
	if conn.RuntimeParams["application_name"] == "" {
		conn.RuntimeParams["application_name"] = applicationName
	}
	cfg.PingTimeout = pingTimeout
	cfg.MaxConnLifetimeJitter = 5 * time.Minute
}
