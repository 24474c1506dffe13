package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strings"

	"github.com/joho/godotenv"
)

const (
	maxDotEnv     = 64 << 10
	maxDotEnvSpan = 200 // lines that one quoted value may run over
)

// DotEnv layers the file at path under lookup: a name that lookup has is
// taken from there. A file that does not exist is an empty one.
//
// The error is Problems that name file and line and never show what is there.
func DotEnv(path string, lookup func(string) (string, bool)) (func(string) (string, bool), error) {
	source, err := readDotEnv(path)
	if err != nil {
		return lookup, Problems{{Field: path, Message: err.Error()}}
	}
	values, line := parseDotEnv(source)
	if line > 0 {
		return lookup, Problems{{Field: fmt.Sprintf("%s:%d", path, line), Message: "must be NAME=value, a comment or empty"}}
	}
	return func(name string) (string, bool) {
		if value, ok := lookup(name); ok {
			return value, true
		}
		value, ok := values[name]
		return value, ok
	}, nil
}

// readDotEnv returns the file without a byte order mark. Its errors are
// without the path, which the caller adds.
func readDotEnv(path string) (string, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", errors.New("cannot be opened for reading")
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, maxDotEnv+1))
	if err != nil {
		return "", errors.New("cannot be read as a file")
	}
	if len(b) > maxDotEnv {
		return "", fmt.Errorf("must be at most %s", showSize(maxDotEnv))
	}
	return string(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))), nil
}

// parseDotEnv returns the values, or the number of the first line that is at
// fault. The library's own errors quote the file, so they are not used.
func parseDotEnv(source string) (values map[string]string, line int) {
	if values, ok := unmarshal(source); ok {
		return values, 0
	}
	// Statement by statement: what does not parse yet may go on in the next
	// line, inside quotes.
	lines := strings.SplitAfter(source, "\n")
	start := 0
	for i := range lines {
		if _, ok := unmarshal(strings.Join(lines[start:i+1], "")); ok {
			start = i + 1
		} else if i-start > maxDotEnvSpan {
			break
		}
	}
	return nil, min(start+1, len(lines))
}

var dotEnvName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.]*$`)

// unmarshal is the library's, but for names that it lets through.
func unmarshal(source string) (map[string]string, bool) {
	values, err := godotenv.Unmarshal(source)
	if err != nil {
		return nil, false
	}
	for name := range values {
		if !dotEnvName.MatchString(name) {
			return nil, false
		}
	}
	return values, true
}
