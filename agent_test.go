package whosaw_test

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/whosaw/whosaw"
)

func TestAgentClass(t *testing.T) {
	for agent, want := range map[string]string{
		"":  "",
		"-": "",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/145.0.0.0 Safari/537.36":                                      "chrome",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_3 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/148.0.0.0 Mobile/15E148 Safari/604.1":           "chrome",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.6 Mobile/15E148 Safari/604.1":              "safari",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/145.0.0.0 Safari/537.36 Edg/145.0.0.0":                        "edge",
		"Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:94.0) Gecko/20100101 Firefox/94.0":                                                                         "firefox",
		"Mozilla/5.0 (Linux; Android 13; SAMSUNG SM-S911B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/23.0 Chrome/115.0.0.0 Mobile Safari/537.36":   "samsung",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Whale/3.24.223.18 Safari/537.36":                    "whale",
		"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.7339.63 YaBrowser/25.10.6.63.00 SA/3 Safari/537.36":               "yandex",
		"Mozilla/5.0 (compatible; MSIE 9.0; Windows NT 6.1; Trident/5.0)":                                                                                      "ie",
		"Mozilla/5.0 (Linux; U; Android 2.3.4; ko-kr; GT-I9100) AppleWebKit/533.1 (KHTML, like Gecko) Version/4.0 Mobile Safari/533.1":                         "android",
		"Mozilla/5.0 (Linux; Android 13; SM-S911B; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/116.0.0.0 Mobile Safari/537.36":               "webview",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148":                                        "webview",
		"Mozilla/5.0 (Linux; Android 13; SM-S911B; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/116.0.0.0 Mobile Safari/537.36 ShopApp/5.3.1": "app:ShopApp/5",
		"Mozilla/5.0 (Linux; Android 13; CUBOT X30) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/116.0.0.0 Mobile Safari/537.36":                              "chrome",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 KAKAOTALK/10.4.5":                       "app:kakaotalk/10",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 26_6_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) GSA/439.4.980558000 Mobile/15E148 Safari/604.1":     "app:google-search/439",
		"ShopApp/5.1 (com.shop.app; build:1; iOS 16.0.0) Alamofire/5.6.2":                                                                                      "app:ShopApp/5",
		"ShopApp/5.1 CFNetwork/1408.0.4 Darwin/22.5.0": "app:ShopApp/5",
		"ShopApp/v12":                "app:ShopApp/12",
		"AbbottApp/2.0 okhttp/4.9.0": "app:AbbottApp/2",
		"CheckoutApp/2.0":            "app:CheckoutApp/2",
		"ShopApp":                    "app:ShopApp",
		"okhttp/4.9.0":               "library:okhttp",
		"python-requests/2.31.0":     "library:python-requests",
		"curl/8.4.0":                 "library:curl",
		"Go-http-client/1.1":         "library:go-http-client",
		"Java/17.0.1":                "library:java",
		"Apache-HttpClient/4.5.13 (Java/11.0.16)": "library:apache-httpclient",
		"GuzzleHttp/7":          "library:guzzlehttp",
		"axios/1.6.0":           "library:axios",
		"PostmanRuntime/7.32.3": "library:postman",
		"Dalvik/2.1.0 (Linux; U; Android 9; SM-A)": "library:dalvik",
		"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/120.0.0.0 Safari/537.36":                                    "library:headless-chrome",
		"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)":                                                                         "crawler:googlebot",
		"Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm) Chrome/116.0.1938.76 Safari/537.36": "crawler:bingbot",
		"Mozilla/5.0 (compatible; Yahoo! Slurp; http://help.yahoo.com/help/us/ysearch/slurp)":                                                              "crawler:slurp",
		"facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)":                                                                        "crawler:facebookexternalhit",
		"Mozilla/5.00 (Nikto/2.1.5) (Evasions:None) (Test:Port Check)":                                                                                     "crawler:nikto",
		"sqlmap/1.6.4#stable (https://sqlmap.org)":                                                                                                         "crawler:sqlmap",
		"<script>alert(1)</script>":             "other",
		"' OR 1=1 --":                           "other",
		"한국어":                                   "other",
		"\x00\xff\x1b[2J":                       "other",
		"Mozilla/5.0":                           "other",
		strings.Repeat("x", 100_000):            "app:" + strings.Repeat("x", 32),
		strings.Repeat("x/", 100_000):           "other",
		strings.Repeat("(", 100_000) + "curl/1": "other",
		"Shop/" + strings.Repeat("9", 100):      "app:Shop/999999",
	} {
		if got := whosaw.AgentClass(agent); got != want {
			t.Errorf("%.140q: got %s, want %s", agent, got, want)
		}
	}
}

// open gives a data file of ../shared, uncompressed; without it the test is skipped, loudly.
func open(t *testing.T, name string) *gzip.Reader {
	t.Helper()
	f, err := os.Open("../shared/data/" + name)
	if err != nil {
		t.Skipf("SKIPPED: ../shared/data/%s is missing, so nothing is held against real agents: %v", name, err)
	}
	t.Cleanup(func() { f.Close() })
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// Ten thousand agents of people's browsers are browsers or apps that show pages.
func TestAgentClassOfBrowsers(t *testing.T) {
	lines := bufio.NewScanner(open(t, "user-agents-weighted.tsv.gz"))
	lines.Scan() // the header
	counts := make(map[string]int)
	n := 0
	for lines.Scan() {
		class := whosaw.AgentClass(lines.Text()[strings.LastIndexByte(lines.Text(), '\t')+1:])
		if app, ok := strings.CutPrefix(class, "app:"); ok {
			class, _, _ = strings.Cut(app, "/")
		}
		counts[class]++
		n++
	}
	if err := lines.Err(); err != nil || n != 10_000 {
		t.Fatalf("%d lines, %v", n, err)
	}
	for class, least := range map[string]int{"chrome": 6000, "safari": 2500, "edge": 150, "firefox": 80, "samsung": 40, "google-search": 250, "opera": 15} {
		if counts[class] < least {
			t.Errorf("%s: %d, want %d and more", class, counts[class], least)
		}
		delete(counts, class)
	}
	for class, got := range counts {
		if got > 25 || class == "other" || strings.Contains(class, ":") {
			t.Errorf("%s: %d", class, got)
		}
	}
}

// Of the agents of crawlers and their like, nine in ten say so; hardly one passes for a browser.
func TestAgentClassOfCrawlers(t *testing.T) {
	var list []struct{ Instances []string }
	if err := json.NewDecoder(open(t, "crawler-user-agents.json.gz")).Decode(&list); err != nil {
		t.Fatal(err)
	}
	said, browsers, n := 0, 0, 0
	for _, c := range list {
		for _, agent := range c.Instances {
			n++
			switch class, _, found := strings.Cut(whosaw.AgentClass(agent), ":"); {
			case class == "crawler" || class == "library":
				said++
			case !found && class != "other":
				browsers++
			}
		}
	}
	t.Logf("%d agents: %d say that they are crawlers or libraries, %d pass for browsers", n, said, browsers)
	if n < 2000 || said*100 < 87*n || browsers*100 > 2*n {
		t.Error("worse than it was")
	}
}
