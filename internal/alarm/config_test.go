package alarm_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/whosaw/whosaw/internal/alarm"
)

func parse(t *testing.T, text string) (alarm.Config, error) {
	t.Helper()
	var c alarm.Config
	err := yaml.UnmarshalWithOptions([]byte(text), &c, yaml.Strict())
	return c, err
}

func TestConfigYAML(t *testing.T) {
	t.Setenv("WHOSAW_HOOK", "https://hooks.chat.example/services/T0/B0/x")
	c, err := parse(t, `
link: https://whosaw.shop.example/findings/{id}
source: /whosaw/shop
retry_first: 5s
retry_most: 30m
channels:
  - name: oncall
    webhook:
      url: https://pager.example/in
      secret_file: `+write(t, testKey)+`
    quiet: {from: "22:00", to: "07:00", zone: Europe/Berlin, days: [mon, tue], pass_detectors: [canary], pass_subjects: 100}
  - name: office
    mail: {host: relay.shop.example, from: whosaw@shop.example, to: [privacy@shop.example]}
  - name: siem
    syslog: {transport: tls, address: "log.shop.example:6514"}
  - name: chat
    slack: {url_env: WHOSAW_HOOK}
  - name: lake
    file: {path: /tmp/findings.json}
`)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	if c.RetryMost != 30*time.Minute || c.Channels[0].Quiet.PassSubjects != 100 {
		t.Errorf("%+v", c)
	}
	channels, err := c.Open(alarm.Self{})
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, ch := range channels {
		kinds = append(kinds, ch.Name+" "+ch.Kind)
	}
	if got := strings.Join(kinds, ", "); got != "oncall webhook, office mail, siem syslog, chat slack, lake file" {
		t.Error(got)
	}
	if _, err := parse(t, "channels: [{name: a, webhok: {url: x}}]"); err == nil {
		t.Error("an unknown key was taken")
	}
}

// Each fault is named by its key with the cure, and no fault repeats what may be secret.
func TestConfigFaults(t *testing.T) {
	t.Setenv("EMPTY", "")
	t.Setenv("HOOKPASS", "ftp://hookpass")
	missing := filepath.Join(t.TempDir(), "missing")
	short := write(t, "whsec_c2hvcnRwYXNz")
	plain := write(t, "plainpass")
	large := write(t, strings.Repeat("x", 100_000))
	for _, x := range []struct{ yaml, want string }{
		{`link: "https://x.example/findings"`, "alarm.link: write a URL with {id}"},
		{`link: "javascript:{id}"`, "alarm.link: write a URL with {id}"},
		{`retry_most: 2h`, "alarm.retry_first, alarm.retry_most: give pauses like"},
		{`retry_first: 2m
retry_most: 1m`, "alarm.retry_first, alarm.retry_most: give pauses like"},
		{`channels: [{file: {path: /tmp/x}}]`, "alarm.channels[0].name: give each channel a name"},
		{`channels: [{name: "A b", file: {path: /tmp/x}}]`, "alarm.channels[0].name: give each channel a name"},
		{`channels: [{name: a, file: {path: /tmp/x}}, {name: a, file: {path: /tmp/y}}]`, "alarm.channels[1].name: a is there twice"},
		{`channels: [{name: a}]`, "alarm.channels[0].webhook, mail, syslog, slack, file: give exactly one of these sections, not 0"},
		{`channels: [{name: a, file: {path: /tmp/x}, slack: {url_env: X}}]`, "give exactly one of these sections, not 2"},
		{`channels: [{name: a, webhook: {}}]`, "alarm.channels[0].webhook.url, url_file, url_env: give one of them"},
		{`channels: [{name: a, webhook: {url: "http://x.example/"}}]`, "webhook.url: http:// would send alarms readable"},
		{`channels: [{name: a, webhook: {url: "https://kim:hookpass@x.example/"}}]`, "webhook.url: it holds a password; give bearer_file"},
		{`channels: [{name: a, webhook: {url: "x.example"}}]`, "webhook.url: it is no URL; write https://host/path"},
		{`channels: [{name: a, webhook: {url: "https://x.example", format: xml}}]`, "webhook.format: write cloudevents or ocsf"},
		{`channels: [{name: a, webhook: {url: "https://x.example", secret_file: ` + missing + `}}]`, "webhook.secret_file: read secret: open " + missing},
		{`channels: [{name: a, webhook: {url: "https://x.example", secret_file: ` + short + `}}]`, "webhook.secret_file: a signing secret holds 24 to 64 bytes; make one with: echo"},
		{`channels: [{name: a, webhook: {url: "https://x.example", secret_file: ` + plain + `}}]`, "webhook.secret_file: a signing secret begins with whsec_"},
		{`channels: [{name: a, webhook: {url: "https://x.example", secret_file: ` + plain + `, secret_env: X}}]`, "webhook.secret_file, secret_env: give one of them"},
		{`channels: [{name: a, webhook: {url: "https://x.example", bearer_file: ` + large + `}}]`, "larger than 64 KiB"},
		{`channels: [{name: a, webhook: {url: "https://x.example", bearer_env: EMPTY}}]`, "webhook.bearer_env: the secret is empty"},
		{`channels: [{name: a, webhook: {url: "https://x.example", ca_file: ` + plain + `}}]`, "webhook.ca_file: " + plain + " holds no certificate"},
		{`channels: [{name: a, slack: {}}]`, "slack.url_file, url_env: give one of them; the hook's address is a password"},
		{`channels: [{name: a, slack: {url_env: HOOKPASS}}]`, "slack.url_env: it is no URL"},
		{`channels: [{name: a, mail: {host: "relay:25", from: a@x.example, to: [b@x.example]}}]`, "mail.host: give the name of a mail relay"},
		{`channels: [{name: a, mail: {host: relay, from: "Kim <a@x.example>", to: []}}]`, "mail.from: give an address"},
		{`channels: [{name: a, mail: {host: relay, from: a@x.example, to: []}}]`, "mail.to: give at least one address"},
		{`channels: [{name: a, mail: {host: relay, from: a@x.example, to: [b]}}]`, "mail.to[0]: give an address"},
		{`channels: [{name: a, mail: {host: relay, security: none, from: a@x.example, to: [b@x.example]}}]`, "mail.security: none would send alarms readable"},
		{`channels: [{name: a, mail: {host: localhost, security: none, user: kim, password_file: ` + plain + `, from: a@x.example, to: [b@x.example]}}]`, "mail.user: a password never goes over a connection without TLS"},
		{`channels: [{name: a, mail: {host: relay, user: kim, from: a@x.example, to: [b@x.example]}}]`, "mail.user, password_file, password_env: a user goes with a password"},
		{`channels: [{name: a, mail: {host: relay, security: ssl, from: a@x.example, to: [b@x.example]}}]`, "mail.security: write starttls, tls or none"},
		{`channels: [{name: a, syslog: {transport: relp, address: "x:1"}}]`, "syslog.transport: write tls, tcp, udp or unix"},
		{`channels: [{name: a, syslog: {transport: udp, address: "x"}}]`, "syslog.address: write host:port"},
		{`channels: [{name: a, syslog: {transport: unix, address: "log"}}]`, "syslog.address: write the path of the socket"},
		{`channels: [{name: a, syslog: {transport: udp, address: "x:1", facility: kern}}]`, "syslog.facility: write authpriv"},
		{`channels: [{name: a, syslog: {transport: udp, address: "x:1", ca_file: x}}]`, "these go with transport: tls"},
		{`channels: [{name: a, syslog: {transport: tls, address: "x:1", cert_file: x}}]`, "a certificate goes with its key"},
		{`channels: [{name: a, file: {path: x.json}}]`, "file.path: write an absolute path"},
		{`channels: [{name: a, file: {path: ` + missing + `/x.json}}]`, "file.path: its directory is not there"},
		{`channels: [{name: a, file: {path: /tmp/x}, quiet: {from: "7", to: "08:00"}}]`, `alarm.channels[0].quiet.from: write a time like "22:00"`},
		{`channels: [{name: a, file: {path: /tmp/x}, quiet: {from: "07:00", to: "07:00"}}]`, "quiet.from, to: the hours are empty"},
		{`channels: [{name: a, file: {path: /tmp/x}, quiet: {from: "07:00", to: "08:00", zone: Mars}}]`, "quiet.zone: no such zone"},
		{`channels: [{name: a, file: {path: /tmp/x}, quiet: {from: "07:00", to: "08:00", days: [monday]}}]`, "quiet.days: write mon"},
	} {
		c, err := parse(t, x.yaml)
		if err != nil {
			t.Errorf("%s: %v", x.yaml, err)
			continue
		}
		err = c.Check()
		if err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s\ngave %v\nwant %q", x.yaml, err, x.want)
		}
		if err != nil && (strings.Contains(err.Error(), "hookpass") || strings.Contains(err.Error(), "plainpass") || strings.Contains(err.Error(), "c2hvcnRw")) {
			t.Errorf("%s: the error repeats a secret: %v", x.yaml, err)
		}
	}
}

// A secret that is exchanged or mended holds at the next message; one that is gone is told of and mended.
func TestSecretsAreReadAgain(t *testing.T) {
	s, got := hook(t, nil)
	name := write(t, testKey)
	l := runLive(t, filepath.Join(t.TempDir(), "state.db"), alarm.ChannelConfig{Name: "w", Webhook: &alarm.WebhookConfig{URL: s.URL, SecretFile: name}})
	other := "whsec_" + strings.Repeat("QUJD", 10)
	if err := os.WriteFile(name, []byte(other), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := l.d.Test(t.Context(), "w"); err != nil {
		t.Fatal(err)
	}
	verify(t, receive(t, got), other)
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if err := l.d.Test(t.Context(), "w"); err == nil || !strings.Contains(err.Error(), "read secret") {
		t.Errorf("without its secret: %v", err)
	}
	select {
	case <-got:
		t.Error("sent without a signature")
	default:
	}
	if err := l.d.Test(t.Context(), "nobody"); !errors.Is(err, alarm.ErrUnknown) {
		t.Errorf("an unknown channel: %v", err)
	}
}
