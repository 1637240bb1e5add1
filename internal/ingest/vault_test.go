package ingest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/ingest"
)

const kmsARN = "arn:aws:kms:ap-northeast-2:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"

// house says where the keys of a made-up house lie.
var house = ingest.KeyMap{
	Material: []ingest.KeyPlace{
		{Key: "backup-2024", Vault: []string{"transit/keys/backup", "secret/data/auth/backup", "team-a/kv/backup"}, AWS: []string{kmsARN, "auth/backup", "alias/backup"}},
		{Key: "login-2026", Realm: "eu", Vault: []string{"secret/data/auth/login"}},
	},
	People: []ingest.Alias{
		{Person: "kim", As: []string{"oidc-kim.s@shop.example", "kim.s@shop.example"}},
		{Person: "service:mint", As: []string{"token-mint"}},
	},
}

// auditLine is an entry the way an audit device writes it: tokens and values are HMACs.
func auditLine(kind, who, operation, path, mount, more string) string {
	return `{"time":"2026-05-17T10:05:03.123456789Z","type":"` + kind + `","auth":{"client_token":"hmac-sha256:1fe8…","accessor":"hmac-sha256:77a0c1","display_name":"` + who +
		`","policies":["default","keys"],"token_policies":["default"],"policy_results":{"allowed":true},"metadata":{"role":"admin"},"entity_id":"d29c0066-247b","token_type":"service","token_ttl":3600},` +
		`"request":{"id":"8a7c-1","client_id":"d29c","operation":"` + operation + `","mount_point":"m/","mount_type":"` + mount +
		`","client_token":"hmac-sha256:1fe8…","namespace":{"id":"root"},"path":"` + path + `","remote_address":"10.0.0.7","remote_port":50122}` + more + `}`
}

const answered = `,"response":{"mount_type":"transit","data":{"keys":{"1":"hmac-sha256:9f…"}}}`

// deed is what a record says happened to a key.
func deed(r *whosaw.Record) string {
	if r.Type != whosaw.TypeKey {
		return "access " + r.Route + " " + fmt.Sprint(r.Status)
	}
	return strings.TrimSpace(r.Ref.Kind + " " + r.Key + " " + r.Principal + " " + strings.Join(r.Ref.Readers, ","))
}

func TestVaultDeeds(t *testing.T) {
	for _, c := range []struct{ name, line, want string }{
		{"export", auditLine("response", "ldap-lee", "read", "transit/export/signing-key/backup/1", "transit", answered), "exported backup-2024 staff:lee lee"},
		{"asked, not answered", auditLine("request", "ldap-lee", "read", "transit/export/signing-key/backup/1", "transit", ""), "access vault:request 0"},
		{"refused", auditLine("response", "ldap-lee", "read", "transit/export/signing-key/backup", "transit", `,"error":"1 error occurred:\n\t* permission denied\n\n"`), "access vault:read transit 403"},
		{"backup in clear", auditLine("response", "ldap-lee", "read", "transit/backup/backup", "transit", answered), "exported backup-2024 staff:lee lee"},
		{"a person signs", auditLine("response", "ldap-lee", "update", "transit/sign/backup/sha2-256", "transit", answered), "used backup-2024 staff:lee"},
		{"a program signs", auditLine("response", "approle", "update", "transit/sign/backup/sha2-256", "transit", answered), "access vault:update transit 200"},
		{"a program reads", auditLine("response", "kubernetes-auth-mint", "read", "secret/data/auth/backup", "kv", answered), "read backup-2024 service:kubernetes-auth-mint service:kubernetes-auth-mint"},
		{"a person known by another name", auditLine("response", "oidc-kim.s@shop.example", "read", "secret/data/auth/backup", "kv", answered), "read backup-2024 staff:kim kim"},
		{"a program known by another name", auditLine("response", "token-mint", "read", "secret/data/auth/backup", "kv", answered), "read backup-2024 service:mint service:mint"},
		{"root", auditLine("response", "root", "read", "secret/data/auth/backup", "kv", answered), "read backup-2024 staff:root root"},
		{"rotated", auditLine("response", "ldap-lee", "update", "transit/keys/backup/rotate", "transit", answered), "rotated backup-2024 staff:lee"},
		{"created", auditLine("response", "ldap-lee", "update", "transit/keys/backup", "transit", answered), "created backup-2024 staff:lee"},
		{"deleted", auditLine("response", "ldap-lee", "delete", "transit/keys/backup", "transit", answered), "disposed backup-2024 staff:lee"},
		{"its description", auditLine("response", "ldap-lee", "read", "transit/keys/backup", "transit", answered), "access vault:read transit 200"},
		{"a secret destroyed", auditLine("response", "ldap-lee", "update", "secret/destroy/auth/backup", "kv", answered), "disposed backup-2024 staff:lee"},
		{"a secret's description", auditLine("response", "ldap-lee", "read", "secret/metadata/auth/backup", "kv", answered), "access vault:read kv 200"},
		{"a secret forgotten", auditLine("response", "ldap-lee", "delete", "secret/metadata/auth/backup", "kv", answered), "disposed backup-2024 staff:lee"},
		{"another key", auditLine("response", "ldap-lee", "read", "transit/export/signing-key/other", "transit", answered), "access vault:read transit 200"},
		{"a namespace", strings.Replace(auditLine("response", "ldap-lee", "read", "kv/backup", "kv", answered), `"id":"root"`, `"id":"x","path":"team-a/"`, 1), "read backup-2024 staff:lee lee"},
	} {
		r, err := ingest.ParseKeyLine(&house, ingest.FormatVault, "", c.line, testNow)
		if err != nil || deed(&r) != c.want || r.Time != whenMS+123 || r.IP != ip("10.0.0.7") {
			t.Errorf("%s: %q, want %q; %+v %v", c.name, deed(&r), c.want, r, err)
		}
		if s := string(whosaw.AppendJSON(nil, &r)); strings.Contains(s, "auth/backup") || strings.Contains(s, "signing-key") {
			t.Errorf("%s: the path is kept: %s", c.name, s)
		}
	}
	r, err := ingest.ParseLine(ingest.FormatVault, "", auditLine("response", "ldap-lee", "read", "transit/export/signing-key/backup/1", "transit", answered), testNow)
	if err != nil || deed(&r) != "access vault:read transit 200" {
		t.Errorf("where nobody says where keys lie: %+v, %v", r, err)
	}
	for _, line := range []string{`{}`, `[]`, `{"time":"2026-05-17T10:05:03Z","type":"response","request":{}}`, auditLine("answer", "a", "read", "b", "c", ""),
		auditLine("response", "a", "read", "b", "c", `,"time":"2026-05-17T10:05:03Z"`), strings.Replace(auditLine("response", "a", "read", "b", "c", ""), "2026-05-17T", "17.5.", 1),
		strings.Repeat(`{"request":`, 500)} {
		if _, err := ingest.ParseKeyLine(&house, ingest.FormatVault, "", line, testNow); err == nil {
			t.Errorf("accepted %.80s", line)
		}
	}
}

func TestCloudTrailKeyDeeds(t *testing.T) {
	event := func(source, name, identity, more string) string {
		return `{"eventVersion":"1.08","userIdentity":` + identity + `,"eventTime":"2026-05-17T10:05:03Z","eventSource":"` + source + `.amazonaws.com","eventName":"` + name +
			`","awsRegion":"ap-northeast-2","sourceIPAddress":"203.0.113.7","userAgent":"aws-cli/2.15",` + more + `,"requestID":"r-1","eventID":"e-1","readOnly":true,"eventType":"AwsApiCall"}`
	}
	const (
		user     = `{"type":"IAMUser","arn":"arn:aws:iam::111122223333:user/lee","accountId":"111122223333","accessKeyId":"AKIAEXAMPLE","userName":"lee"}`
		role     = `{"type":"AssumedRole","arn":"arn:aws:sts::111122223333:assumed-role/mint/i-07","sessionContext":{"sessionIssuer":{"userName":"mint"}}}`
		sso      = `{"type":"AssumedRole","arn":"arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_Admin_1a2b/park@shop.example","sessionContext":{"sessionIssuer":{"userName":"AWSReservedSSO_Admin_1a2b"}}}`
		known    = `{"type":"AssumedRole","arn":"arn:aws:sts::111122223333:assumed-role/admin/kim.s@shop.example","sessionContext":{"sessionIssuer":{"userName":"admin"}}}`
		resource = `"requestParameters":{"encryptionAlgorithm":"SYMMETRIC_DEFAULT"},"responseElements":null,"resources":[{"accountId":"111122223333","type":"AWS::KMS::Key","ARN":"` + kmsARN + `"}]`
	)
	for _, c := range []struct{ name, line, want string }{
		{"a person decrypts", event("kms", "Decrypt", user, resource), "read backup-2024 staff:lee lee"},
		{"single sign-on", event("kms", "Decrypt", sso, resource), "read backup-2024 service:AWSReservedSSO_Admin_1a2b park@shop.example"},
		{"a known session", event("kms", "Decrypt", known, resource), "read backup-2024 service:admin kim"},
		{"encrypted anew for another key", event("kms", "ReEncrypt", user, `"resources":[{"ARN":"arn:aws:kms:x:1:key/other"},{"ARN":"`+kmsARN+`"}]`), "exported backup-2024 staff:lee lee"},
		{"a person signs", event("kms", "Sign", user, resource), "used backup-2024 staff:lee"},
		{"the mint signs", event("kms", "Sign", role, resource), "access kms.amazonaws.com:Sign 200"},
		{"the public key is public", event("kms", "GetPublicKey", user, resource), "access kms.amazonaws.com:GetPublicKey 200"},
		{"denied", event("kms", "Decrypt", user, `"errorCode":"AccessDenied",`+resource), "access kms.amazonaws.com:Decrypt 403"},
		{"by alias", event("kms", "Sign", user, `"requestParameters":{"keyId":"alias/backup"}`), "used backup-2024 staff:lee"},
		{"to be deleted", event("kms", "ScheduleKeyDeletion", user, resource), "disposed backup-2024 staff:lee"},
		{"created", event("kms", "CreateKey", user, `"responseElements":{"keyMetadata":{"arn":"`+kmsARN+`"}}`), "created backup-2024 staff:lee"},
		{"a secret", event("secretsmanager", "GetSecretValue", user, `"requestParameters":{"secretId":"auth/backup"}`), "read backup-2024 staff:lee lee"},
		{"another secret", event("secretsmanager", "GetSecretValue", user, `"requestParameters":{"secretId":"auth/other"}`), "access secretsmanager.amazonaws.com:GetSecretValue 200"},
	} {
		r, err := ingest.ParseKeyLine(&house, ingest.FormatCloudTrail, "", c.line, testNow)
		if err != nil || deed(&r) != c.want || r.ID != "e-1" || r.Time != whenMS || r.IP != ip("203.0.113.7") {
			t.Errorf("%s: %q, want %q; %+v %v", c.name, deed(&r), c.want, r, err)
		}
	}
}

// TestVaultLog: an audit log is recognised, and reading it again gives the same records.
func TestVaultLog(t *testing.T) {
	log := strings.Join([]string{
		auditLine("request", "ldap-lee", "read", "transit/export/signing-key/backup/1", "transit", ""),
		auditLine("response", "ldap-lee", "read", "transit/export/signing-key/backup/1", "transit", answered),
		`{"time":"2026-05-17T10:05:03Z","type":"response","auth":{},"request":{"operation":"re`,
	}, "\n")
	got := read(t, ingest.Options{Keys: &house}, file(t, "audit.log", log))
	if got.Accepted != 2 || got.Rejected != 1 || got.Inputs[0].Format != ingest.FormatVault || len(got.records) != 2 || deed(&got.records[0]) != "exported backup-2024 staff:lee lee" {
		t.Fatalf("%+v %+v", got.Summary, got.records)
	}
	s, err := ingest.NewStream(ingest.StreamOptions{Source: "vault", Format: ingest.FormatVault, Keys: &house})
	if err != nil {
		t.Fatal(err)
	}
	b := s.Decode(testNow, []byte(log), 0, 0)
	if len(b.Records) != 2 || deed(&b.Records[1]) != deed(&got.records[0]) || len(b.Rejects) != 1 || strings.Contains(b.Rejects[0].Reason+b.Rejects[0].Hint, "kim") {
		t.Errorf("%+v", b)
	}
}

func TestKeyMapFaults(t *testing.T) {
	for text, want := range map[string]string{
		"material:\n- key: k\n": "give the key and at least one place",
		"material:\n- {key: a, vault: [x]}\n- {key: b, vault: [/x/]}\n": "x is the place of key a too",
		"people:\n- person: kim\n":                                      "give the person and at least one name",
		"people:\n- {person: a, as: [x]}\n- {person: b, as: [x]}\n":     "one name is one person",
		"keys: 7\n": "it has material and people",
	} {
		name := filepath.Join(t.TempDir(), "keys.yaml")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ingest.LoadKeyMap(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	name := filepath.Join(t.TempDir(), "keys.yaml")
	if err := os.WriteFile(name, []byte("material:\n- {key: a, vault: [x], aws: [y]}\npeople:\n- {person: kim, as: [x]}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := ingest.LoadKeyMap(name)
	if d := cmp.Diff(&ingest.KeyMap{Material: []ingest.KeyPlace{{Key: "a", Vault: []string{"x"}, AWS: []string{"y"}}}, People: []ingest.Alias{{Person: "kim", As: []string{"x"}}}}, m); err != nil || d != "" {
		t.Error(err, d)
	}
}
