package alarm

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"github.com/whosaw/whosaw"
)

func document(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../../docs/formats/alarms.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// blocks gives the fenced blocks of a language.
func blocks(text, language string) []string {
	var out []string
	for {
		_, rest, ok := strings.Cut(text, "```"+language+"\n")
		if !ok {
			return out
		}
		block, rest, _ := strings.Cut(rest, "```")
		out, text = append(out, block), rest
	}
}

func example() *Message {
	at := time.Date(2026, 5, 2, 3, 4, 5, 678_000_000, time.UTC)
	no := false
	return message(&whosaw.Finding{ID: "f3b1c0d2a4e59687", Time: millis(at.Add(-2 * time.Second)), Seen: millis(at.Add(-time.Second)), Detector: "unissued",
		Unit: "key:login-2024-b", Filter: whosaw.Filter{{Key: []string{"login-2024-b"}, Issued: &no}}, Accesses: 4383, Subjects: 4012, Statistic: 31.24, Threshold: 25.8,
		Says:      `Someone uses credentials that were never issued, as far as the issuance records tell, signed with key "login-2024-b": 4383 accesses so far, which showed the data of 4012 customers. Whom the credentials claim to be is not established.`,
		Technique: "T1606"}, at, "https://whosaw.shop.example/findings/{id}")
}

// The examples are what is sent, byte for byte where white space does not matter.
func TestExamplesAreTrue(t *testing.T) {
	text := document(t)
	m := example()
	examples := blocks(text, "json")
	if len(examples) != 3 {
		t.Fatalf("%d examples in JSON, want 3", len(examples))
	}
	for i, write := range []func() ([]byte, error){
		func() ([]byte, error) { return m.cloudEvent("/whosaw/shop") },
		func() ([]byte, error) { return m.ocsf("1.0.0") },
		m.slack,
	} {
		want, err := write()
		if err != nil {
			t.Fatal(err)
		}
		var pretty, got bytes.Buffer
		if err := json.Indent(&pretty, want, "", "  "); err != nil {
			t.Fatal(err)
		}
		if err := json.Compact(&got, []byte(examples[i])); err != nil {
			t.Errorf("example %d: %v", i, err)
		}
		if diff := cmp.Diff(string(want), got.String()); diff != "" {
			t.Errorf("example %d (-want +got):\n%s\nwrite:\n%s", i, diff, pretty.String())
		}
	}
	plain := blocks(text, "text")
	s := &syslog{facility: 10, host: "log1", app: "whosaw", pid: "4711"}
	for i, want := range []string{"Subject: " + m.subject() + "\n\n" + strings.Join(m.lines(), "\n") + "\n", string(m.syslog(s, maxStream)) + "\n"} {
		if i >= len(plain) || plain[i] != want {
			t.Errorf("plain example %d is not there; write:\n%s", i, want)
		}
	}
}

// Every key is named, and the configuration shown is one.
func TestConfigurationIsDocumented(t *testing.T) {
	text := document(t)
	examples := blocks(text, "yaml")
	if len(examples) != 1 {
		t.Fatalf("%d examples in YAML, want 1", len(examples))
	}
	var c struct {
		Alarm Config `yaml:"alarm"`
	}
	if err := yaml.UnmarshalWithOptions([]byte(examples[0]), &c, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	if n := len(c.Alarm.Channels); n != 5 {
		t.Errorf("the example has %d channels, want one of each kind", n)
	}
	for _, section := range []any{Config{}, ChannelConfig{}, QuietConfig{}, WebhookConfig{}, MailConfig{}, SyslogConfig{}, SlackConfig{}, FileConfig{}} {
		typ := reflect.TypeOf(section)
		for i := range typ.NumField() {
			if name := typ.Field(i).Tag.Get("yaml"); !strings.Contains(text, "`"+name+"`") {
				t.Errorf("alarms.md does not name %s of %s", name, typ.Name())
			}
		}
	}
	typ := reflect.TypeOf(Message{})
	for i := range typ.NumField() {
		name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
		if !strings.Contains(text, "`"+name+"`") {
			t.Errorf("alarms.md does not name %s of a message", name)
		}
	}
}

// The lines that verify a signature are run, against a signature that fits and one that does not.
func TestVerificationLines(t *testing.T) {
	body, err := example().cloudEvent("/whosaw/shop")
	if err != nil {
		t.Fatal(err)
	}
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	keys, err := signingKeys(secret)
	if err != nil {
		t.Fatal(err)
	}
	id, stamp := "f3b1c0d2a4e59687", "1777691045"
	for language, command := range map[string][]string{"python": {"python3", "-c"}, "sh": {"sh", "-c"}} {
		t.Run(language, func(t *testing.T) {
			if _, err := exec.LookPath(command[0]); err != nil {
				t.Skip(command[0] + " is not installed")
			}
			if _, err := exec.LookPath("openssl"); language == "sh" && err != nil {
				t.Skip("openssl is not installed")
			}
			code := blocks(document(t), language)
			if len(code) == 0 {
				t.Fatal("there are none")
			}
			run := func(signature string) bool {
				cmd := exec.Command(command[0], command[1], code[0])
				cmd.Dir = t.TempDir()
				if err := os.WriteFile(cmd.Dir+"/body", body, 0o600); err != nil {
					t.Fatal(err)
				}
				cmd.Env = append(os.Environ(), "SECRET="+secret, "ID="+id, "STAMP="+stamp, "SIGNATURE="+signature, "NOW=1777691050")
				out, err := cmd.CombinedOutput()
				if err != nil && len(out) > 0 {
					t.Logf("%s", out)
				}
				return err == nil
			}
			other := [][]byte{bytes.Repeat([]byte{7}, 32)}
			if good := sign(keys, id, stamp, body); !run(good) || !run(sign(other, id, stamp, body)+" "+good) {
				t.Error("a signature that fits was refused")
			}
			if run(sign(other, id, stamp, body)) || run(sign(keys, id, "1777691046", body)) {
				t.Error("a signature that does not fit was taken")
			}
		})
	}
}
