package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"llmproxy/internal/fakeprovider"
	"llmproxy/internal/gatewaytest"
	"llmproxy/internal/pgtest"
)

// TestSecretsStayWhereTheyBelong plants secrets of every kind, leads the
// program through successes and failures with the log at its most talkative,
// and looks for them in everything that it says and keeps.
func TestSecretsStayWhereTheyBelong(t *testing.T) {
	t.Run("embedded", func(t *testing.T) {
		c := plant(t)
		g := gatewaytest.Start(t, gatewaytest.Options{Env: c.env, Args: []string{"--metrics-key", c.metricsKey}})
		c.lead(t, g)
		g.Stop(t)
		c.searchFiles(t, g.Dir)
	})
	t.Run("postgresql", func(t *testing.T) {
		c := plant(t)
		server := pgtest.NewServer(t)
		admin := server.URL()
		runSQL(t, admin, fmt.Sprintf("CREATE ROLE gateway LOGIN PASSWORD '%s'; GRANT ALL ON SCHEMA public TO gateway", c.dbPassword))
		server.RequirePasswords(t)
		c.env["DB_URL"] = strings.Replace(admin, "postgres@", "gateway:"+c.dbPassword+"@", 1)
		dir := t.TempDir()
		g := gatewaytest.Start(t, gatewaytest.Options{Env: c.env, Dir: dir, Args: []string{"--metrics-key", c.metricsKey}})
		c.lead(t, g)
		c.searchTables(t, admin)

		// The database goes away and comes back under another password.
		server.Stop(t)
		c.admin(t, g, "POST", "/credentials", `{"name":"late","key":"`+c.clientKey+`-late"}`, 503)
		server.Start(t)
		runSQL(t, admin, "ALTER ROLE gateway PASSWORD 'another'")
		runSQL(t, admin, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'gateway'")
		c.admin(t, g, "GET", "/providers", "", 503)
		g.Stop(t)
		again := gatewaytest.Start(t, gatewaytest.Options{Env: c.env, Dir: dir, Args: []string{"--metrics-key", c.metricsKey}})
		again.Canary(c.all()...)
		again.Stop(t)
		c.searchFiles(t, dir)
	})
}

// canaries are the secrets of one run. A secret is wherever its text is.
type canaries struct {
	env                                          map[string]string
	adminKey, secretKey, metricsKey, dbPassword  string
	clientKey, wrongKey, providerKey, refusedKey string
	prompt, answer                               string
}

// plant makes the secrets, and the settings that carry some of them.
func plant(t *testing.T) *canaries {
	t.Helper()
	c := &canaries{
		adminKey: gatewaytest.NewCanary("admin"), secretKey: gatewaytest.NewCanary("secret"),
		metricsKey: gatewaytest.NewCanary("metrics"), dbPassword: gatewaytest.NewCanary("password"),
		clientKey: "sk-" + gatewaytest.NewCanary("client"), wrongKey: "sk-" + gatewaytest.NewCanary("wrong"),
		providerKey: gatewaytest.NewCanary("provider"), refusedKey: gatewaytest.NewCanary("refused"),
		prompt: gatewaytest.NewCanary("prompt"), answer: gatewaytest.NewCanary("answer"),
	}
	c.env = map[string]string{
		"ADMIN_KEY": c.adminKey, "SECRET_KEY": c.secretKey, "LOG_LEVEL": "debug", "OPENAI_API_KEY": c.refusedKey,
		"LOG_REQUEST_SAMPLE": "0.5", "SLOW_REQUEST_MS": "20", "MAX_LOG_LINES": "100000", // lines of every kind
		"OPENAI_BASE_URL": "http://127.0.0.1:1/v1",
	}
	return c
}

func (c *canaries) all() []string {
	return append(c.keys(), c.adminKey, c.secretKey, c.metricsKey, c.dbPassword, c.wrongKey, c.prompt, c.answer)
}

// keys are what a table or a file may hold hashed or sealed only.
func (c *canaries) keys() []string { return []string{c.clientKey, c.providerKey, c.refusedKey} }

// lead takes the gateway through what it can meet.
func (c *canaries) lead(t *testing.T, g *gatewaytest.Gateway) {
	t.Helper()
	g.Canary(c.all()...)
	good := fakeprovider.Start(t, fakeprovider.Options{Key: c.providerKey})
	c.declare(t, g, good)
	c.succeed(t, g, good)
	c.fail(t, g, good)
	c.misconfigure(t, g, good)
	c.look(t, g)
}

// declare makes the providers and the client's key.
func (c *canaries) declare(t *testing.T, g *gatewaytest.Gateway, good *fakeprovider.Provider) {
	t.Helper()
	c.admin(t, g, "POST", "/providers", fmt.Sprintf(`{"provider_key":"good","api_base":%q,"api_key":%q,"model_mapping":{"m":"m"},"provider_params":{"idle_timeout_ms":500,"total_timeout_ms":5000}}`, good.URL(), c.providerKey), 201)
	c.admin(t, g, "POST", "/providers", fmt.Sprintf(`{"provider_key":"away","api_base":"http://%s/v1","api_key":%q,"model_mapping":{"away":"away"}}`, fakeprovider.Refusing(t), c.refusedKey), 201)
	c.admin(t, g, "POST", "/providers", fmt.Sprintf(`{"provider_key":"refusing","api_base":%q,"api_key":%q,"model_mapping":{"refused":"m"}}`, good.URL(), c.refusedKey), 201)
	// The one answer that may hold a key: of a credential that was just made.
	status, answer := c.ask(t, g, "POST", "/admin/v1/credentials", c.adminKey, fmt.Sprintf(`{"name":"client","key":%q,"allowed_models":["m","away","refused"]}`, c.clientKey))
	if status != http.StatusCreated {
		t.Fatalf("%d %s", status, answer)
	}
	c.search(t, "the answer to making a credential", strings.ReplaceAll(answer, c.clientKey, ""))
}

// succeed asks for answers, whole and streamed, with and without usage.
func (c *canaries) succeed(t *testing.T, g *gatewaytest.Gateway, good *fakeprovider.Provider) {
	t.Helper()
	for _, words := range []string{"", "no-usage", "gzip"} {
		for _, stream := range []bool{false, true} {
			c.script(t, good, words+" text="+c.answer)
			c.chat(t, g, "m", stream, 200)
		}
	}
	good.Handle(nil)
	c.ask(t, g, "POST", "/v1/embeddings", c.clientKey, fmt.Sprintf(`{"model":"m","input":%q}`, c.prompt))
	c.ask(t, g, "POST", "/v1/responses", c.clientKey, fmt.Sprintf(`{"model":"m","input":%q,"stream":true}`, c.prompt))
}

// fail asks for everything that goes wrong.
func (c *canaries) fail(t *testing.T, g *gatewaytest.Gateway, good *fakeprovider.Provider) {
	t.Helper()
	echo := fmt.Sprintf(`{"error":{"message":"key-%s-and-%s","type":"x","code":"x"}}`, c.providerKey, c.answer)
	for _, words := range []string{
		"status=500 body=" + echo, "status=401 body=" + echo, "status=429 retry-after-ms=1 body=" + echo, "garbage",
		"cut=1 by=rst text=" + c.answer + "|" + c.answer, "cut=0 half by=fin", "missing=10 text=" + c.answer,
		"no-finish no-done text=" + c.answer, "refuse-stream-options text=" + c.answer,
		"type=text/html status=200 body=<html>" + c.answer + "</html>", "redirect=http://" + c.answer + ".example/", "huge-header=100000",
	} {
		for _, stream := range []bool{false, true} {
			c.script(t, good, words)
			c.chat(t, g, "m", stream, 0)
		}
	}
	good.Handle(nil)
	c.chat(t, g, "away", false, 0)
	c.chat(t, g, "refused", true, 0)
	c.chat(t, g, c.prompt, false, 403)
	for _, key := range []string{c.wrongKey, c.clientKey + "x", c.adminKey} {
		status, answer := c.ask(t, g, "POST", "/v1/chat/completions", key, c.body("m", false))
		if status != 401 {
			t.Errorf("a wrong key: %d %s", status, answer)
		}
		c.search(t, "a refusal", answer)
	}
	for _, body := range []string{
		c.prompt, `{"model":"m","messages":"` + c.prompt, `{"model":["` + c.prompt + `"]}`, `["` + c.prompt + `"]`,
		`{"messages":[{"content":"` + c.prompt + `"}]}`, `{"model":"m","model":"` + c.prompt + `"}`,
	} {
		status, answer := c.ask(t, g, "POST", "/v1/chat/completions", c.clientKey, body)
		if status != 400 && status != 403 {
			t.Errorf("%s: %d %s", body, status, answer)
		}
		c.search(t, "the answer to a bad body", strings.ReplaceAll(answer, c.prompt, "(asked model)"))
	}
	c.search(t, "the answer to an unknown path", second(c.ask(t, g, "POST", "/v1/unknown?key="+c.clientKey, c.clientKey, c.body("m", false))))
}

// misconfigure makes mistakes with the Admin API, with secrets in the wrong
// places.
func (c *canaries) misconfigure(t *testing.T, g *gatewaytest.Gateway, good *fakeprovider.Provider) {
	t.Helper()
	for _, body := range []string{
		`{"provider_key":"` + c.providerKey + `"`, `{"api_key":["` + c.providerKey + `"]}`, `{"api_kee":"` + c.providerKey + `"}`,
		fmt.Sprintf(`{"provider_key":"x","api_base":"https://%s@host/v1","api_key":"a b%s"}`, c.providerKey, c.providerKey),
		fmt.Sprintf(`{"provider_key":"x","api_base":"https://host/v1?key=%s","api_key":"a\nb%s"}`, c.providerKey, c.providerKey),
		fmt.Sprintf(`{"provider_key":"x","api_base":"https://host/v1","api_key":"ok","weight":%q,"provider_params":{"connect_timeout_ms":%q}}`, c.providerKey, c.providerKey),
	} {
		c.admin(t, g, "POST", "/providers", body, 422)
	}
	c.admin(t, g, "POST", "/providers", fmt.Sprintf(`{"provider_key":"good","api_base":%q,"api_key":%q}`, good.URL(), c.providerKey), 409)
	c.admin(t, g, "POST", "/credentials", fmt.Sprintf(`{"name":"again","key":%q}`, c.clientKey), 409)
	c.admin(t, g, "POST", "/credentials", fmt.Sprintf(`{"name":"x","key":"%s with a blank"}`, c.clientKey), 422)
	for _, path := range []string{"/providers", "/credentials", "/config/version"} {
		c.search(t, "a refusal", second(c.ask(t, g, "GET", "/admin/v1"+path, c.wrongKey, "")))
		c.admin(t, g, "GET", path, "", 200)
	}
	c.admin(t, g, "PATCH", "/providers/1", fmt.Sprintf(`{"api_key":%q}`, c.providerKey), 200)
	c.admin(t, g, "POST", "/health/check", `{"timeout_secs":5}`, 200)
	c.admin(t, g, "POST", "/config/reload", "", 200)
	c.admin(t, g, "PUT", "/log-level", `{"level":"`+c.providerKey+`"}`, 422)
	c.admin(t, g, "PUT", "/log-level", `{"level":"debug","for_secs":600}`, 200)
	c.admin(t, g, "POST", "/auth/validate", "", 200)
}

// look reads every page.
func (c *canaries) look(t *testing.T, g *gatewaytest.Gateway) {
	t.Helper()
	for path, key := range map[string]string{
		"/metrics": c.metricsKey, "/health": "", "/health/ready": "", "/health/detailed": c.clientKey, "/docs": "", "/openapi.json": "",
		"/v1/models": c.clientKey,
	} {
		status, answer := c.ask(t, g, "GET", path, key, "")
		if status != 200 {
			t.Errorf("%s: %d %s", path, status, answer)
		}
		c.search(t, path, answer)
	}
}

// admin calls the Admin API; no answer may hold a secret.
func (c *canaries) admin(t *testing.T, g *gatewaytest.Gateway, method, path, body string, want int) {
	t.Helper()
	status, answer := c.ask(t, g, method, "/admin/v1"+path, c.adminKey, body)
	if status != want {
		t.Errorf("%s %s %s: %d %s, want %d", method, path, body, status, answer, want)
	}
	c.search(t, method+" "+path, answer)
}

// chat asks for a completion. The answer is the client's own, or the
// provider's; the client's and the gateway's keys have no business in it.
func (c *canaries) chat(t *testing.T, g *gatewaytest.Gateway, model string, stream bool, want int) {
	t.Helper()
	status, answer := c.ask(t, g, "POST", "/v1/chat/completions", c.clientKey, c.body(model, stream))
	if want != 0 && status != want {
		t.Errorf("model %s, stream %v: %d %s, want %d", model, stream, status, answer, want)
	}
	if strings.Contains(answer, c.clientKey) || strings.Contains(answer, c.refusedKey) || strings.Contains(answer, c.adminKey) {
		t.Errorf("a key in %s", answer)
	}
}

func (c *canaries) body(model string, stream bool) string {
	return fmt.Sprintf(`{"model":%q,"stream":%v,"user":%q,"messages":[{"role":"user","content":%q}]}`, model, stream, c.prompt, c.prompt)
}

func (c *canaries) script(t *testing.T, p *fakeprovider.Provider, words string) {
	t.Helper()
	h, err := fakeprovider.ParseScript(words)
	if err != nil {
		t.Fatal(err)
	}
	p.Handle(h)
}

func second(_ int, answer string) string { return answer }

func (c *canaries) ask(t *testing.T, g *gatewaytest.Gateway, method, path, key, body string) (int, string) {
	t.Helper()
	q, err := http.NewRequest(method, g.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if key != "" {
		q.Header.Set("Authorization", "Bearer "+key)
	}
	q.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	var answer bytes.Buffer
	_, _ = answer.ReadFrom(resp.Body) // an answer may be cut on purpose
	return resp.StatusCode, answer.String()
}

// search looks for every secret in a text.
func (c *canaries) search(t *testing.T, where, text string) {
	t.Helper()
	for _, secret := range c.all() {
		if strings.Contains(text, secret) {
			t.Errorf("%s holds %s: %.2000s", where, secret, text)
		}
	}
}

// searchFiles looks for keys in everything that the gateway left on disk.
func (c *canaries) searchFiles(t *testing.T, dir string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		content, err := os.ReadFile(path)
		for _, secret := range c.all() {
			if bytes.Contains(content, []byte(secret)) {
				t.Errorf("%s holds %s", path, secret)
			}
		}
		return err
	})
	if err != nil || files == 0 {
		t.Errorf("searched %d files: %v", files, err)
	}
}

// searchTables looks for keys in everything that the database holds.
func (c *canaries) searchTables(t *testing.T, url string) {
	t.Helper()
	ctx := context.Background()
	db := connect(t, url)
	defer db.Close(ctx)
	for _, table := range []string{"providers", "credentials"} {
		rows, err := db.Query(ctx, "SELECT t::text FROM "+table+" AS t")
		if err != nil {
			t.Fatal(err)
		}
		all, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil || len(all) == 0 {
			t.Errorf("%s: %d rows, %v", table, len(all), err)
		}
		c.search(t, table, strings.Join(all, "\n"))
	}
}

// runSQL runs statements as the database's superuser.
func runSQL(t *testing.T, url, statements string) {
	t.Helper()
	ctx := context.Background()
	db := connect(t, url)
	defer db.Close(ctx)
	if _, err := db.Exec(ctx, statements, pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatal(err)
	}
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	db, err := pgx.Connect(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	return db
}
