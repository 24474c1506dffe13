package sdk

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"llmproxy/internal/gatewaytest"
)

// readmes are held to their word: every command and every example in them is
// run as it stands.
var readmes = []string{"README.md", "README_CN.md"}

// root is the project's folder, from here.
const root = "../.."

// example is a fenced block of a README.
type example struct {
	language string
	text     string
}

// tried says how the block that begins so is tried. Its beginning is its first
// line that is no comment.
type tried struct {
	begins string
	by     func(t *testing.T, s *scene, x example)
}

// trials are the blocks of a README in their order. A block that is not here
// fails the test: it must be tried, or put here with the reason why it is not.
var trials = []tried{
	{"make run", dry},
	{"llm-proxy dev on http://127.0.0.1:18000", said},
	{"OPENAI_API_KEY=sk-... make run", started},
	{"export KEY=sk-...", accepted}, // values to fill in: nothing to hear
	{"curl http://localhost:18000/v1/chat/completions", prints(`"content":"`)},
	{"import os", python},
	{`import OpenAI from "openai";`, nodeProgram},
	{"package main", goProgram},
	{"curl -N http://localhost:18000/v1/chat/completions", prints("data: [DONE]")},
	{"PROVIDER_SUFFIX=Proxy make run", started},
	{"curl http://localhost:18000/v1/chat/completions", withPrefix},
	{"curl -X POST http://localhost:18000/admin/v1/providers", alone(`"provider_key":"openai-main"`)},
	{"curl -X POST http://localhost:18000/admin/v1/credentials", alone(`"name":"team-search"`)},
	{`curl "http://localhost:18000/admin/v1/usage?group_by=day,key&from=2026-01-01"`, prints(`"totals"`)},
	{"curl -X POST http://localhost:18000/admin/v1/config/reload", prints(`"version"`)},
	{"export DB_URL='postgresql://user:pass@localhost:5432/llm_proxy'", startedOnPostgres},
	{`echo "ADMIN_KEY=$(openssl rand -hex 24)"  >> .env`, compose},
	{"curl http://localhost:18000/health", prints(`"status"`)},
	{"bin/llm-proxy mock --port 9000", bench},
	{"make test", dry},
}

// TestReadme tries every example of both READMEs against the program itself, with
// `llm-proxy mock` behind it. What both have in common is tried once.
func TestReadme(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	done := map[string]bool{}
	for _, page := range readmes {
		text, err := os.ReadFile(root + "/" + page)
		if err != nil {
			t.Fatal(err)
		}
		all := examples(string(text))
		inOrder(t, page, all)
		for i, x := range all {
			if same := bare(x); !done[same] {
				done[same] = true
				t.Run(page+"/"+label(x), func(t *testing.T) {
					t.Parallel()
					trials[i].by(t, s, x)
				})
			}
		}
	}
}

// bare is an example without its comments, in English.
func bare(x example) string {
	text := regexp.MustCompile(`(?m)^# .*\n|  *# .*$`).ReplaceAllString(x.text, "")
	return x.language + strings.ReplaceAll(text, "你好！", "Hello!")
}

// examples lists the fenced blocks of a page.
func examples(page string) (all []example) {
	for _, m := range regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$").FindAllStringSubmatch(page, -1) {
		all = append(all, example{language: m[1], text: m[2]})
	}
	return all
}

// beginning is the first line of an example that is no comment, without the
// comment behind it and what continues it.
func beginning(x example) string {
	for line := range strings.Lines(x.text) {
		line, _, _ = strings.Cut(line, " # ")
		line, _, _ = strings.Cut(strings.TrimSpace(line), ` \`)
		if line != "" && !strings.HasPrefix(line, "# ") {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

// label is a name of a subtest.
func label(x example) string {
	words := strings.Fields(beginning(x))
	return strings.NewReplacer("/", "_", `"`, "").Replace(strings.Join(words[:min(3, len(words))], " "))
}

// inOrder demands that a page has the examples that are tried, and no others.
func inOrder(t *testing.T, page string, all []example) {
	t.Helper()
	for i, x := range all {
		if i >= len(trials) || !strings.HasPrefix(beginning(x), trials[i].begins) {
			t.Fatalf("%s: block %d is not the one that is tried here; put it into trials:\n%s", page, i+1, x.text)
		}
		if !slices.Contains([]string{"bash", "text", "python", "js", "go"}, x.language) {
			t.Errorf("%s: block %d has the language %q", page, i+1, x.language)
		}
	}
	if len(all) < len(trials) {
		t.Fatalf("%s: there is no block %q", page, trials[len(all)].begins)
	}
}

// said: these are the words of a first start, but for what differs every time.
func said(t *testing.T, _ *scene, x example) {
	none := map[string]string{"ADMIN_KEY": "", "DATA_DIR": "./data", "LOG_LEVEL": "error"}
	got := gatewaytest.Start(t, gatewaytest.Options{Env: none}).Output()
	for pattern, shown := range map[string]string{
		`(?m)^llm-proxy \S+ on`: "llm-proxy dev on", `127\.0\.0\.1:\d+`: "127.0.0.1:18000",
		`\bsk-\w{43}\b`: "sk-…", `\badmin-\w{43}\b`: "admin-…",
	} {
		got = regexp.MustCompile(pattern).ReplaceAllString(got, shown)
	}
	if !strings.HasPrefix(got, x.text) {
		t.Errorf("the program says\n%s\nthe page\n%s", got, x.text)
	}
}
