package public_test

import (
	"strings"
	"testing"
	"time"

	"github.com/whosaw/whosaw/internal/incident"
	"github.com/whosaw/whosaw/internal/regime"
)

// said are the sentences of a made-up shop, in four languages.
var said = map[string]map[string]string{
	"en": {
		"what_leaked":  "The data of {subjects} customers leaked: name, e-mail address, phone number and address, and the door codes of {field:door_code} of them.",
		"when_and_how": "Between 14 April and 8 November 2026 somebody used a signing key of ours to open customers' pages without logging in.",
		"advice":       "Change the code of your building's entrance. Be wary of calls and messages that know your address or your orders; we never ask for a password or a payment.",
		"measures":     "The key was replaced on 19 November 2026, and what it signs is refused. The authority has been told.",
		"remedy":       "You can ask for compensation at our help desk, or turn to the Personal Information Dispute Mediation Committee.",
		"rights":       "You can ask what we hold about you, have it corrected or erased, and stop its use: in your account, under privacy.",
		"contact":      "Privacy office, privacy@mirae-market.example, weekdays 9:00 to 18:00.",
	},
	"ko": {
		"what_leaked":  "고객 {subjects}명의 정보가 유출되었습니다. 항목은 이름, 이메일, 전화번호, 주소이며 그 가운데 {field:door_code}명은 공동현관 비밀번호도 유출되었습니다.",
		"when_and_how": "2026년 4월 14일부터 11월 8일까지 누군가가 당사의 서명 키를 사용하여 로그인 없이 고객 페이지를 열었습니다.",
		"advice":       "공동현관 비밀번호를 바꾸세요. 주소나 주문 내역을 아는 전화와 문자를 조심하세요. 당사는 비밀번호나 결제를 요구하지 않습니다.",
		"measures":     "2026년 11월 19일에 키를 교체했으며 그 키로 서명된 것은 거부합니다. 감독 기관에 신고했습니다.",
		"remedy":       "고객센터에서 손해배상을 청구하거나 개인정보 분쟁조정위원회에 조정을 신청할 수 있습니다.",
		"rights":       "계정의 개인정보 메뉴에서 열람, 정정, 삭제, 처리 정지를 요구할 수 있습니다.",
		"contact":      "개인정보보호팀, privacy@mirae-market.example, 평일 9:00~18:00",
	},
	"ar": {
		"what_leaked":  "تسربت بيانات {subjects} من عملائنا: الاسم والبريد الإلكتروني ورقم الهاتف والعنوان، وكذلك رمز باب المبنى لدى {field:door_code} منهم.",
		"when_and_how": "بين 14 أبريل و8 نوفمبر 2026 استخدم شخص ما مفتاح توقيع يخصنا لفتح صفحات العملاء دون تسجيل الدخول.",
		"advice":       "غيّروا رمز باب المبنى. احذروا المكالمات والرسائل التي تعرف عنوانكم أو طلباتكم؛ نحن لا نطلب كلمة مرور ولا دفعة مالية أبدًا.",
		"measures":     "استُبدل المفتاح في 19 نوفمبر 2026 ويُرفض كل ما يوقّعه. وقد أبلغنا الجهة المختصة.",
		"remedy":       "يمكنكم طلب التعويض من مركز المساعدة أو اللجوء إلى لجنة الوساطة في نزاعات البيانات الشخصية.",
		"rights":       "يمكنكم طلب الاطلاع على بياناتكم وتصحيحها ومحوها ووقف استخدامها من حسابكم في قسم الخصوصية.",
		"contact":      "مكتب الخصوصية، privacy@mirae-market.example، أيام العمل من 9:00 إلى 18:00.",
	},
	"bn": {
		"what_leaked":  "{subjects} জন গ্রাহকের তথ্য ফাঁস হয়েছে: নাম, ইমেইল ঠিকানা, ফোন নম্বর ও ঠিকানা, এবং তাঁদের মধ্যে {field:door_code} জনের দরজার কোড।",
		"when_and_how": "১৪ এপ্রিল থেকে ৮ নভেম্বর ২০২৬ পর্যন্ত কেউ আমাদের একটি স্বাক্ষর-চাবি ব্যবহার করে লগ-ইন ছাড়াই গ্রাহকদের পৃষ্ঠা খুলেছে।",
		"advice":       "আপনার ভবনের প্রবেশদ্বারের কোড বদলান। যে ফোন বা বার্তা আপনার ঠিকানা বা অর্ডার জানে, তাতে সাবধান থাকুন; আমরা কখনও পাসওয়ার্ড বা টাকা চাই না।",
		"measures":     "১৯ নভেম্বর ২০২৬ চাবিটি বদলানো হয়েছে এবং তার স্বাক্ষর আর নেওয়া হয় না। কর্তৃপক্ষকে জানানো হয়েছে।",
		"remedy":       "আমাদের সহায়তা কেন্দ্রে ক্ষতিপূরণ চাইতে পারেন, অথবা ব্যক্তিগত তথ্য বিরোধ মধ্যস্থতা কমিটির কাছে যেতে পারেন।",
		"rights":       "আপনার অ্যাকাউন্টের গোপনীয়তা অংশে আমাদের কাছে থাকা তথ্য দেখতে, সংশোধন করতে, মুছতে এবং ব্যবহার বন্ধ করতে বলতে পারেন।",
		"contact":      "গোপনীয়তা দপ্তর, privacy@mirae-market.example, কর্মদিবসে 9:00 থেকে 18:00।",
	},
}

// law is the one with a duty to post.
func law(t testing.TB) *regime.Law {
	t.Helper()
	laws, err := regime.Shipped()
	check(t, err)
	for _, l := range laws {
		if l.ID == "kr-pipa-34" && l.Version == "from 11 Sep 2026" {
			return l
		}
	}
	t.Fatal("there is no such law")
	return nil
}

// story is an incident with a scope, a look-up, and a notice that has stood for some days, not all of the time.
func (h *house) story() int64 {
	h.t.Helper()
	n := h.open()
	people := crowd(3000)
	h.showCrowd(people)
	h.show(func(int) []string { return []string{"address", "phone"} }, 10_000_003)
	h.count(n)
	h.offer(n)
	event := h.postNotice(n, "ko", "en", "ar", "bn")
	h.wait(50 * time.Hour)
	check(h.t, h.book.SawPosting(h.t.Context(), n, event, true))
	return n
}

// postNotice states, signs and posts.
func (h *house) postNotice(n int64, langs ...string) int64 {
	h.t.Helper()
	l := law(h.t)
	for _, lang := range langs {
		for content, text := range said[lang] {
			s := incident.Statement{Content: content, Lang: lang, Text: text, Verified: content != "when_and_how"}
			if s.Verified {
				s.Source = "scope version 1"
			}
			_, err := h.book.Record(h.t.Context(), n, "staff:lee", incident.Stated, incident.Body{Statement: &s})
			check(h.t, err)
		}
		in, err := h.book.Incident(h.t.Context(), n)
		check(h.t, err)
		doc, err := in.Document(l, "posted", lang, 0)
		check(h.t, err)
		if len(doc.Faults) > 0 {
			h.t.Fatalf("the text in %s: %+v", lang, doc.Faults)
		}
		_, err = h.book.Record(h.t.Context(), n, "staff:park", incident.Signed, incident.Body{Document: "kr-pipa-34/posted " + lang, Hash: doc.Hash})
		check(h.t, err)
	}
	event, err := h.book.Post(h.t.Context(), n, "staff:lee", l, incident.PostingSpec{Duty: "posted", Langs: langs, Title: "Customer data, November 2026"})
	check(h.t, err)
	return event
}

// It was posted on 22 November: 30 days, and 50 hours that nobody looked.
//
// The posted notice shows what was signed, in the reader's language or the first, its days and its gaps, and nobody of the house.
func TestThePostedNotice(t *testing.T) {
	h := newHouse(t)
	if a := h.get("/?lang=en"); !strings.Contains(a.body, "has no notice posted at present") {
		t.Error("an empty page does not say so")
	}
	h.story()
	for lang, words := range map[string][]string{
		"en": {"The data of at least 1,575 customers leaked", "First posted on", "24 December 2026", "30", "could not be read", "2026-11-22 12:12 KST"},
		"ko": {"고객 최소 1,575명의 정보가 유출", "2026년 12월 24일", "아직 확인되지 않음"},
		"ar": {`dir="rtl"`, "تسربت بيانات", "1,575"},
		"bn": {"গ্রাহকের তথ্য ফাঁস", "1,575"},
	} {
		a := h.get("/?lang=" + lang)
		for _, w := range words {
			if !strings.Contains(a.body, w) {
				t.Errorf("%s: the page does not say %q", lang, w)
			}
		}
		for _, w := range []string{"staff:", "backup key", "scope version 1", "f1"} {
			if strings.Contains(a.body, w) {
				t.Errorf("%s: the page says %q", lang, w)
			}
		}
	}
}
