package whosaw

import "strings"

const (
	maxAgent      = 512 // bytes of an agent that are looked at
	maxAgentLabel = 32  // bytes of a name taken from an agent
)

// AgentClass names what kind of program an agent header claims to be:
//
//   - "chrome", "safari", "firefox", …: a browser's family; "webview": a page inside an app that
//     does not say its name.
//   - "app:ShopApp/5": an app and its major version.
//   - "library:okhttp", "crawler:googlebot": a library or a crawler.
//   - "other": none of them; "": no agent, or "-".
//
// The class is a claim, as the agent is. It is a pure function of the agent, and at most 50 bytes long.
func AgentClass(agent string) string {
	if agent == "" || agent == "-" {
		return ""
	}
	agent = agent[:min(len(agent), maxAgent)]
	var l agentList
	l.split(agent)
	if name := l.known(agentCrawler); name != "" {
		return "crawler:" + name
	}
	if name := l.crawler(); name != "" {
		return "crawler:" + label(name)
	}
	return l.class()
}

// lowerASCII takes at most maxAgent bytes. It leaves letters beyond ASCII alone: a rune that changes its length would shift the words.
func lowerASCII(s string) string {
	var buf [maxAgent]byte
	for i := range len(s) {
		c := s[i]
		if c-'A' <= 25 {
			c |= 0x20
		}
		buf[i] = c
	}
	return string(buf[:len(s)])
}

// agentWord is one word of an agent, with what stands behind its slash.
type agentWord struct {
	name, low string // as written, and in lower case
	version   string
	known     agentKnown
	inside    bool // within parentheses or brackets
}

// agentKind orders what an agent's words say: the greatest wins.
type agentKind uint8

const (
	agentUnknown agentKind = iota
	agentNoise             // says nothing of its own
	agentBase              // chrome, safari, firefox: named by nearly all browsers
	agentBrowser           // a browser built on another
	agentLibrary
	agentInside // an app that shows pages
	agentCrawler
)

// agentKnown is what is known of a word.
type agentKnown struct {
	kind agentKind
	name string
}

var knownAgents = func() map[string]agentKnown {
	known := make(map[string]agentKnown)
	add := func(kind agentKind, words string) {
		for word := range strings.FieldsSeq(words) {
			word, name, found := strings.Cut(word, "=")
			if !found {
				name = word
			}
			known[word] = agentKnown{kind, name}
		}
	}
	add(agentNoise, `mozilla applewebkit gecko khtml version mobile tablet like build cfnetwork darwin wv language nettype
		wkwebview iphone ipad ipod android linux windows macintosh macos ios x11 ubuntu fedora debian qtwebengine electron
		mobile/15e148 u webkit presto profile configuration channel release isapp compatible win64 x64 wow64 rv nt intel mac os
		watchos tvos scale process browser client app model network abi locale darwin_arch web desktop`)
	add(agentBase, `chrome crios=chrome chromium=chrome safari firefox fxios=firefox msie=ie trident=ie konqueror`)
	add(agentBrowser, `edge edg=edge edga=edge edgios=edge opr=opera opera opios=opera opt=opera opx=opera oupeng=opera
		samsungbrowser=samsung whale yabrowser=yandex vivaldi brave ucbrowser=uc ubrowser=uc ddg=duckduckgo duckduckgo
		miuibrowser=miui huaweibrowser=huawei mqqbrowser=qq qqbrowser=qq focus=firefox klar=firefox seamonkey=firefox
		silk vivobrowser=vivo heytapbrowser=heytap puffin ecosia maxthon palemoon coc_coc_browser=coccoc epiphany naver`)
	add(agentLibrary, `curl libcurl=curl wget okhttp python-requests python-urllib python-httpx aiohttp python-aiohttp=aiohttp httpx=python-httpx
		urllib3=python-urllib3 python-urllib3 python go-http-client go-resty=resty resty fasthttp java jakarta=commons-httpclient
		apache-httpclient apache-httpasyncclient=apache-httpclient commons-httpclient reactornetty=reactor-netty
		reactor-netty jersey jetty ahc=async-http-client async-http-client axios node-fetch undici got superagent
		node node.js=node deno bun guzzlehttp guzzle=guzzlehttp php symfony ruby faraday rest-client=ruby-rest-client httparty typhoeus
		libwww-perl lwp=libwww-perl lwp-trivial=libwww-perl lwp::simple=libwww-perl perl dart dalvik restsharp
		windowspowershell=powershell powershell postmanruntime=postman insomnia bruno httpie k6 jmeter wrk vegeta ab apachebench
		locust gatling reqwest hyper ureq rust alamofire volley feign spring-webclient winhttp libhttp headlesschrome=headless-chrome
		phantomjs playwright puppeteer selenium cypress indy winhttprequest colly grpc-go grpc-java grpc-node-js grpc-python
		boto3 botocore aws-cli aws-sdk-java aws-sdk-go aws-sdk-js aws-sdk-go-v2 urlgrabber pycurl mechanize typheous rpt-httpclient`)
	add(agentInside, `instagram fban=facebook fbav=facebook fbios=facebook fb_iab=facebook metaiab=facebook kakaotalk line
		snapchat pinterest linkedinapp=linkedin twitter tiktok musical_ly=tiktok trill=tiktok bytedancewebview=tiktok
		micromessenger=wechat gsa=google-search daumapps=daum everytimeapp=everytime`)
	add(agentCrawler, `ia_archiver facebookexternalhit facebookcatalog facebookexternalua=facebookexternalhit mediapartners-google
		google-inspectiontool googleother googleother-image=googleother googleother-video=googleother google-extended
		google-read-aloud google-site-verification google-safety feedfetcher-google adsbot-google apis-google
		google-xrawler=googlebot bingpreview skypeuripreview whatsapp viber telegrambot chrome-lighthouse=lighthouse
		lighthouse gtmetrix pingdomtms=pingdom pingdom ptst=webpagetest httrack nikto nuclei zgrab masscan nmap sqlmap
		zmeu acunetix-product=acunetix wpscan dirbuster gobuster ffuf whatweb openvas scrapy heritrix nutch coccoc
		datanyze zabbix uptime-kuma site24x7 statuscake datadogsynthetics=datadog newrelicsynthetics=newrelic
		ruxitsynthetic=dynatrace outbrain panscient.com=panscient anthropic-ai cohere-ai meta-externalagent
		meta-externalads meta-externalfetcher chatgpt-user perplexity-user manus-user slurp yahooseeker teoma
		meltwaternews newspaper embedly quora-link-preview ips-agent l9explore wotbox rogerbot ezooms
		amazonproductdiscovery github-camo imgproxy sitesucker webcopier webzip teleport offline xenu`)
	return known
}()

// crawlerMarks are parts of words by which crawlers, monitors and scanners name themselves.
var crawlerMarks = []string{
	"bot", "crawl", "spider", "scraper", "slurp", "scanner", "fetcher", "monitor", "archiver", "checker", "linkcheck",
	"validator", "linkpreview", "indexer", "synthetic", "favicon", "uptime",
}

// agentList holds an agent's words in order.
type agentList struct {
	words [40]agentWord // further ones are not looked at
	n     int
	low   string
}

// split cuts an agent into words.
func (l *agentList) split(agent string) {
	l.low = lowerASCII(agent)
	low := l.low
	depth := 0
	for i := 0; i < len(low) && l.n < len(l.words); {
		c := low[i]
		if !wordByte[c] {
			switch c {
			case '(', '[':
				depth++
			case ')', ']':
				depth = max(depth-1, 0)
			}
			i++
			continue
		}
		start := i
		i = wordEnd(low, i)
		w := &l.words[l.n]
		w.name, w.low, w.inside = agent[start:i], low[start:i], depth > 0
		if i < len(low) && low[i] == '/' {
			start = i + 1
			i = wordEnd(low, start)
			w.version = low[start:i]
		}
		if w.low[0]-'a' <= 25 { // most of the others are versions
			w.known = knownAgents[w.low]
		}
		l.n++
	}
}

// wordEnd gives the end of the word that begins at i.
func wordEnd(s string, i int) int {
	for i < len(s) && wordByte[s[i]] {
		i++
	}
	return i
}

var wordByte = func() (t [256]bool) {
	for _, c := range "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-:" {
		t[c] = true
	}
	return t
}()

// known gives the name of the first word of a kind.
func (l *agentList) known(kind agentKind) string {
	for i := range l.n {
		if w := &l.words[i]; w.known.kind == kind {
			return w.known.name
		}
	}
	return ""
}

// crawler gives the name by which an agent says that it is a crawler, "" if it does not.
func (l *agentList) crawler() string {
	place := false
	for i := range l.n {
		w := &l.words[i]
		if w.known.kind != agentUnknown || len(w.low) < 3 || w.low[0]-'a' > 25 {
			continue
		}
		for _, mark := range crawlerMarks {
			if w.marked(mark) {
				return w.low
			}
		}
		place = place || w.isPlace()
	}
	if !place || l.known(agentLibrary) != "" { // a library names its own home
		return ""
	}
	for i := range l.n {
		if w := &l.words[i]; w.namesCrawler() {
			return w.low
		}
	}
	return "unnamed"
}

// isPlace reports whether a word is part of an address at which crawlers explain themselves; no browser gives one.
func (w *agentWord) isPlace() bool {
	return strings.HasPrefix(w.low, "http:") || strings.HasPrefix(w.low, "https:") || strings.HasPrefix(w.low, "www.") ||
		strings.Contains(w.low, ".com") || strings.Contains(w.low, ".org") || strings.Contains(w.low, ".io")
}

// marked reports whether a word holds a crawler's mark; "bot" only at an end, for Abbott is none. Cubot makes
// phones.
func (w *agentWord) marked(mark string) bool {
	at := strings.Index(w.low, mark)
	if at < 0 || strings.HasPrefix(w.low, "http") || strings.HasPrefix(w.low, "cubot") {
		return false
	}
	if mark != "bot" {
		return true
	}
	for rest := w.low; at >= 0; at = strings.Index(rest, mark) {
		rest = rest[at+len(mark):]
		if rest == "" || rest == "s" || rest[0]-'a' > 25 {
			return true
		}
	}
	return false
}

// namesCrawler reports whether a word of an agent with an address may be its name.
func (w *agentWord) namesCrawler() bool {
	return w.known.kind == agentUnknown && len(w.low) > 2 && w.low[0]-'a' <= 25 && !strings.HasPrefix(w.low, "http") &&
		(!w.inside || w.version != "" || strings.Contains(w.low, "."))
}

// class judges an agent that is no crawler.
func (l *agentList) class() string {
	var best agentKnown
	var app *agentWord
	browser, webview := false, false
	for i := range l.n {
		w := &l.words[i]
		switch {
		case w.known.kind == agentUnknown:
			if app == nil && !w.inside && w.isApp(i == 0 && l.n == 1) {
				app = w
			}
			continue
		case w.known.kind > best.kind && (!w.inside || w.known.kind == agentInside || w.known.name == "ie"):
			best = w.known
			if best.kind == agentInside {
				app = w
			}
		}
		switch w.low {
		case "mozilla":
			browser = browser || i == 0
		case "wv":
			webview = webview || w.inside
		case "applewebkit":
			webview = webview || l.embedded()
		}
	}
	switch {
	case best.kind == agentInside:
		return appClass(best.name, app.version)
	case best.kind == agentLibrary && (app == nil || browser):
		return "library:" + best.name
	case best.kind == agentBrowser:
		return best.name
	case app != nil:
		return appClass(app.name, app.version)
	case webview:
		return "webview"
	case best.kind == agentBase:
		return l.base(best.name)
	}
	return "other"
}

// isApp reports whether an unknown word names an app: with a version, or standing alone.
func (w *agentWord) isApp(alone bool) bool {
	return len(w.low) >= 2 && w.low[0]-'a' <= 25 && (alone || w.version != "")
}

// embedded reports whether a WebKit agent lacks the words that a browser of its own adds.
func (l *agentList) embedded() bool {
	for i := range l.n {
		switch l.words[i].low {
		case "safari", "crios", "fxios", "chrome", "chromium", "opios":
			return false
		}
	}
	return true
}

// base tells browsers apart that name each other: Chrome names Safari too.
func (l *agentList) base(name string) string {
	if name != "safari" {
		return name
	}
	for i := range l.n {
		if n := l.words[i].known.name; l.words[i].known.kind == agentBase && (n == "chrome" || n == "firefox") {
			return n
		}
	}
	for i := range l.n {
		if l.words[i].low == "android" {
			return "android"
		}
	}
	return name
}

func appClass(name, version string) string {
	s := "app:" + label(name)
	version = strings.TrimPrefix(version, "v")
	n := 0
	for n < len(version) && n < 6 && version[n]-'0' <= 9 {
		n++
	}
	if n > 0 {
		s += "/" + version[:n]
	}
	return s
}

// label cuts a name to its bound and leaves colons out, which part a class.
func label(name string) string {
	name = strings.TrimRight(name[:min(len(name), maxAgentLabel)], ".-_:")
	return strings.ReplaceAll(name, ":", "_")
}
