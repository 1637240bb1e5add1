package catalog

import "strings"

// noun is a word for a collection of people.
type noun struct {
	label string // the placeholder's name
	rank  uint8  // of two subjects in one path the lower rank is taken, then the later one; 0: never a subject
}

// nouns: what follows one of these in a path is somebody. The ones of rank 0 are people too, but not
// customers, or words before which a name is typed; they keep names out of shapes and give no subject.
var nouns = makeNouns()

func makeNouns() map[string]noun {
	m := map[string]noun{}
	for _, s := range strings.Fields(`user customer member patient subscriber employee guest passenger student buyer
		shopper consumer policyholder cardholder cardmember borrower citizen resident taxpayer applicant candidate
		rider traveler traveller donor voter beneficiary insured claimant debtor enrollee participant attendee
		respondent parent pupil viewer follower`) {
		m[s], m[s+"s"] = noun{s, 1}, noun{s, 1}
	}
	for _, s := range []string{"person", "persons", "people"} {
		m[s] = noun{"person", 1}
	}
	m["beneficiaries"], m["loyalty"] = noun{"beneficiary", 1}, noun{"member", 0}
	for _, s := range strings.Fields("account client profile") {
		m[s], m[s+"s"] = noun{s, 2}, noun{s, 2}
	}
	for _, s := range strings.Fields(`author staff contact friend owner seller driver courier doctor agent recipient
		sender receiver tenant visitor player artist teacher email mail phone tel mobile name username nickname
		fullname lastname firstname surname address search find lookup query keyword`) {
		m[s], m[s+"s"] = noun{"id", 0}, noun{"id", 0}
	}
	for _, s := range []string{"addresses", "searches", "queries", "by"} {
		m[s] = noun{"id", 0}
	}
	return m
}

// words are segments that name a page or an action, not somebody, also behind a noun.
var words = makeWords()

func makeWords() map[string]bool {
	m := map[string]bool{}
	for _, s := range strings.Fields(`
		about access accessibility action actions activate activated activation active activities activity add added
		admin admins administration adjust affiliate affiliates aggregate alert alerts all allowance and announcements
		anonymous anything api app appeal application applications apply approve apps archive archived archives area
		assign at attachment attachments audit auth authenticate authentication authorization authorize auto avatar
		avatars
		balance balances ban banner banners base basic basket batch benefit benefits beta bill billing bills block
		blocked blog book bookings bookmarks brand bulk business button
		calendar call callback cancel cancellation captcha card cards care cart case cases catalog categories category
		center centre change changes channel chart charts chat check checkout claims clear close closed code codes
		collect collection collections comment comments community company compare complete completed compliance
		confirm confirmation confirmed connect connected connection connections consent consents content contents
		contract contracts cookie cookies copy corporate count counter counts coupon coupons create created credentials
		credit css csv current custom
		daily dashboard data date day days deactivate debug default delete deleted delivery deliveries deposit deposits
		detail details device devices digest digital disable disabled discount discounts discover docs document documents
		domain down download downloads draft drafts dump duplicate duplicates
		edit editor eligibility empty en enable enabled end enroll enrollment error errors event events exist exists
		expired explore export exports external
		failed faq favorite favorites favourites features feed feedback feeds fetch field fields file files filter
		filters finance find first flags follow following for forbidden forget forgot forgotten form forms forum forums
		gallery gdpr general get gift gifts global go grant grants group groups guide
		handler health help hidden hints history home hook hooks host
		icon icons id identify identity ids image images img import important in inactive inbox index info information
		insights install insurance integrations interest internal invitation invitations invite invited invites invoice
		invoices is item items
		job jobs join joined js json
		key keys kyc
		label labels landing language languages last latest leaderboard leave legal level levels library like likes
		limit limits link linked links list listing listings lists live load loan loans local location locations lock
		locked log logged login logins logo logon logout logoff logs loyalty
		main manage management manager map maps marketing match me media meetings membership memberships menu merge
		merged message messages meta method methods metrics mfa mine mobile mode monthly more multi my myself
		name names nan nav network new news newsletter newsletters next no nominate none note notes notice notices
		notification notifications null number numbers
		oauth of off offer offers office on onboarding one online open options or order orders org organization
		organizations other otp our overview own
		page pages paging panel partial partner partners passkey passkeys password passwords past payment payments
		pay payout payouts pending permission permissions personal phone photo photos picture pictures ping plan plans
		plus points policies policy popular popup portal portfolio post posts preference preferences premium prepaid
		preview previous price prices pricing print privacy private process product products profile program programs
		progress project projects promo promotion promotions public publish purchase purchases
		query question questions queue quick quota quotas quote quotes
		rank ranking random rating ratings read recent recently recommendations recommended recover recovery redeem
		redirect referral referrals referrer refresh refund refunds register registered registration reject related
		release reminders remove renew renewal reorder reply report reports request requests resend reset resources
		restore result results resume return returns review reviews revoke reward rewards role roles root rss rule rules
		safety sale sales save saved schedule schedules scheme schema score scores script scripts search secure security
		segment segments select self send service services session sessions set setting settings setup share shared
		shipping shop show shows sign signin signoff signon signout signup similar simple single sitemap size skip small
		social sort sources sso stat statement statements static statistics stats status step steps stock storage store
		stores stories story stream subscribe subscription subscriptions success suggest suggestion suggestions summary
		support survey surveys suspend suspended sync system
		table tab tabs tag tags task tasks team teams template templates temporary term terms test tests testimonials
		the theme themes ticket tickets tier tiers time timeline timezone to today token tokens tool tools top topics
		total totals tour track tracking trade trades training transaction transactions transfer transfers trash tree
		trial type types
		unblock undefined unique unknown unlink unlock unread unregister unsubscribe up update updated updates upgrade
		upload uploads url us usage use used username
		valid validate validation value values verification verified verify version versions via video videos view
		views vip visits volunteer vote voucher vouchers
		waitlist wallet wallets watch watchlist web webhook webhooks weekly welcome what who whoami widget widgets
		wishlist wishlists with withdraw withdrawal withdrawals work workspace workspaces write
		year yearly yes you your yours zone`) {
		m[s] = true
	}
	for s := range nouns {
		m[s] = true
	}
	return m
}

// verbs stand between a noun and the id in some frameworks' paths: /user/view/7.
var verbs = makeSet(`view show get edit detail details info information id ids read load fetch display open update delete
	remove find lookup profile by-id byid by_id modify manage`)

// selves are segments that mean the one who asks.
var selves = makeSet(`me my self myself mine mypage mypages myaccount myprofile myinfo whoami my-account my-page
	my-profile my-info my_account my_page my_profile my_info`)

// personParams are query parameters that name a customer, by rank: of several the lowest is taken.
// Bare nouns ("customer") count only with a value that looks like an id; they name other things too.
var personParams = map[string]param{
	"customerid": {1, false}, "customerno": {1, false}, "customernumber": {1, false}, "customernum": {1, false},
	"customerseq": {1, false}, "customercode": {1, false}, "customer": {1, true}, "custid": {1, false}, "custno": {1, false},
	"patientid": {1, false}, "patient": {1, true}, "passengerid": {1, false}, "studentid": {1, false}, "studentno": {1, false},
	"subscriberid": {1, false}, "guestid": {1, false}, "buyerid": {1, false}, "personid": {1, false}, "cardholderid": {1, false},
	"memberid": {2, false}, "memberno": {2, false}, "membernumber": {2, false}, "membernum": {2, false}, "memberseq": {2, false},
	"member": {2, true}, "mbrid": {2, false}, "mbrno": {2, false}, "memid": {2, false}, "memno": {2, false},
	"userid": {3, false}, "userno": {3, false}, "usernumber": {3, false}, "usernum": {3, false}, "userseq": {3, false},
	"user": {3, true}, "usrid": {3, false}, "uid": {3, true}, "profileid": {3, false},
	"accountid": {4, false}, "accountno": {4, false}, "accountnumber": {4, false}, "acctid": {4, false}, "acctno": {4, false},
	"account":    {4, true},
	"employeeid": {5, false}, "employeeno": {5, false}, "empid": {5, false}, "empno": {5, false},
}

type param struct {
	rank uint8
	bare bool // needs a value that looks like an id
}

// extensions are file name endings, cut off before a segment is looked at.
var extensions = makeSet(`html htm xhtml php php3 php5 phtml jsp jspx jsf do action aspx asp ashx asmx cgi pl cfm json jsonp
	xml csv tsv txt pdf xls xlsx doc docx ppt pptx zip gz tgz tar bz2 xz rar 7z rss atom yaml yml md log sql bak old orig
	swp exe dll so jar war apk ipa deb rpm iso dmg msi bin conf config cfg ini env sh bat py rb java c h cpp go rs ts tsx
	jsx vue wsdl xsd dtd ics vcf eml pem crt key pub sig asc sum torrent dat db sqlite min bundle chunk module thumb
	js mjs css map png jpg jpeg gif svg svgz ico webp avif bmp tif tiff cur woff woff2 ttf eot otf mp3 mp4 m4a m4v
	webm ogg ogv oga wav flac avi mov mkv wmv flv swf wasm webmanifest less scss`)

// codeFiles are the endings of files that are the same for everybody, wherever they lie.
var codeFiles = makeSet("js mjs css map ico cur svg svgz woff woff2 ttf eot otf swf wasm webmanifest less scss")

// mediaFiles are the endings of files that are the same for everybody unless they lie behind somebody's id.
var mediaFiles = makeSet(`png jpg jpeg gif webp avif bmp tif tiff mp3 mp4 m4a m4v webm ogg ogv oga wav flac avi mov mkv
	wmv flv`)

// counted are words that are written with a number and are no ids: /api/v2, /oauth2, /step3.
var counted = makeSet(`v api oauth oauth- step page part level web http tier stage phase version chapter mp s h ip ipv md sha
	base utf x rfc iso top java es saml auth mpeg k q graphql rest html css php round season week`)

// fixed are other words with digits in them that are no ids.
var fixed = makeSet("2fa 3ds i18n l10n k8s a11y b2b b2c c2c p2p 3d 2d 360 404 500 h5 o2o d3 f5 w3c s3 ec2")

func makeSet(s string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(s) {
		m[w] = true
	}
	return m
}

// methods maps a method to the text kept for it. What is neither here nor in the catalog is "(odd)".
var methods = makeMethods()

func makeMethods() map[string]string {
	m := map[string]string{"": "GET"} // a log without methods is one of pages
	for _, s := range strings.Fields(`GET HEAD POST PUT PATCH DELETE OPTIONS TRACE CONNECT PROPFIND PROPPATCH MKCOL COPY MOVE
		LOCK UNLOCK REPORT SEARCH QUERY PURGE LINK UNLINK`) {
		m[s], m[strings.ToLower(s)] = s, s
	}
	for s := range operations {
		m[s] = s
	}
	return m
}

// operations are the reads of an object store. They stand where a method does, and what they read is an
// object of its own, never a page's picture or style sheet.
var operations = makeSet("GetObject HeadObject SelectObjectContent GetObjectTorrent GetObjectAttributes CopyObject UploadPartCopy")
