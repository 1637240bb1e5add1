package incident

import (
	"regexp"
	"strings"

	"github.com/whosaw/whosaw/internal/regime"
)

// softened are words for a leak that say less than it is. The regulator of the case objected to the first.
var softened = regexp.MustCompile(`(?i)\bexpos(?:ed|ure|ures)\b|노출|انكشاف|انكشفت|উন্মুক্ত|এক্সপোজার`)

// nothingToDo are sentences that send people away.
var nothingToDo = regexp.MustCompile(`(?i)no (?:further |additional )?action (?:is |was )?(?:needed|required|necessary)|(?:do not|don't|no) need to (?:do|take)|nothing (?:to do|you need to do)|` +
	`(?:별도|추가)의? ?조치(?:가|는|를)? ?(?:필요(?:하지 않|가 없|없)|하실 필요)|` +
	`لا (?:يلزم|يلزمك|داعي لاتخاذ|حاجة (?:إلى|لاتخاذ)|يتعين عليك) ?(?:اتخاذ )?(?:أي )?إجراء|(?:কোনো|কোন) (?:পদক্ষেপ|ব্যবস্থা) (?:নেওয়ার |নেয়ার )?(?:প্রয়োজন|দরকার) নেই|কিছু করার (?:প্রয়োজন|দরকার) নেই`)

// urgent are fields after whose leak there is something to do.
var urgent = []string{"door_code", "credential", "payment", "national_id", "passport", "bank_account"}

// atLeast stands before a figure that a gap touches.
var atLeast = regime.Text{"en": "at least ", "ko": "최소 ", "ar": "ما لا يقل عن ", "bn": "কমপক্ষে "}

var figureNames = map[string]regime.Text{
	"subjects":    {"en": "customers whose data was shown", "ko": "정보가 유출된 고객"},
	"others":      {"en": "entries of other people", "ko": "고객이 아닌 사람의 항목"},
	"disclosures": {"en": "times that data was shown", "ko": "유출 횟수"},
	"field":       {"en": "shown in clear", "ko": "원문 유출"},
	"masked":      {"en": "shown masked only", "ko": "일부 가려진 상태로만 유출"},
}

var moments = map[regime.Moment]regime.Text{
	regime.Suspected: {"en": "suspected", "ko": "의심"}, regime.Aware: {"en": "aware", "ko": "인지"}, regime.Confirmed: {"en": "confirmed", "ko": "확인"},
	regime.Contained: {"en": "contained", "ko": "차단"}, regime.Material: {"en": "material", "ko": "중대성 판단"}, regime.Notified: {"en": "notified", "ko": "통지"},
	regime.Found: {"en": "found later", "ko": "추가 확인"},
}

var headings = map[string]regime.Text{
	"what_leaked":  {"en": "What leaked", "ko": "유출된 개인정보의 항목"},
	"when_and_how": {"en": "When and how", "ko": "유출된 시점과 경위"},
	"people":       {"en": "How many people", "ko": "유출 규모"},
	"measures":     {"en": "What we do", "ko": "대응 조치"},
	"advice":       {"en": "What people can do", "ko": "정보주체가 할 수 있는 조치"},
	"remedy":       {"en": "How to seek remedy", "ko": "피해 구제 절차"},
	"contact":      {"en": "Whom to contact", "ko": "담당 부서와 연락처"},
	"rights":       {"en": "Rights, and how to use them", "ko": "정보주체의 권리와 행사 방법"},
	"consequences": {"en": "Likely consequences", "ko": "예상되는 결과"},
	"cause":        {"en": "Cause", "ko": "원인"},
	"dates":        {"en": "Dates", "ko": "날짜"},
	"police":       {"en": "Whether the police asked to wait", "ko": "수사기관의 통지 연기 요청 여부"},
	"credit_help":  {"en": "Credit agencies, and help offered", "ko": "신용정보기관과 지원"},
	"sample":       {"en": "The notice, as a sample", "ko": "통지문 견본"},
	"impact":       {"en": "Impact", "ko": "영향"},
	"prevention":   {"en": "How it is kept from happening again", "ko": "재발 방지 대책"},
}

// Heading is the heading of a content of a document, in a language, else in English.
func Heading(content, lang string) string { return headings[content].In(lang) }

// fieldNames are the well-known fields as people call them.
var fieldNames = map[string]regime.Text{
	"name": {"en": "name", "ko": "이름"}, "email": {"en": "e-mail address", "ko": "이메일"}, "phone": {"en": "phone number", "ko": "전화번호"},
	"address": {"en": "address", "ko": "주소"}, "door_code": {"en": "door code", "ko": "공동현관 비밀번호"}, "order_history": {"en": "orders", "ko": "주문 내역"},
	"payment": {"en": "payment data", "ko": "결제 정보"}, "credential": {"en": "log-in data", "ko": "로그인 정보"}, "birth_date": {"en": "date of birth", "ko": "생년월일"},
	"national_id": {"en": "national id number", "ko": "주민등록번호"}, "location": {"en": "location", "ko": "위치 정보"}, "contents": {"en": "contents", "ko": "내용"},
}

// fieldWords are the words by which a text names a field, in small letters.
var fieldWords = map[string]map[string][]string{
	"name":          {"en": {"name"}, "ko": {"이름", "성명"}, "ar": {"اسم"}, "bn": {"নাম"}},
	"email":         {"en": {"e-mail", "email", "mail address"}, "ko": {"이메일", "전자우편"}, "ar": {"بريد"}, "bn": {"ইমেইল", "ই-মেইল"}},
	"phone":         {"en": {"phone", "telephone", "mobile number"}, "ko": {"전화", "연락처", "휴대폰"}, "ar": {"هاتف", "جوال"}, "bn": {"ফোন", "মোবাইল"}},
	"address":       {"en": {"address"}, "ko": {"주소", "배송지"}, "ar": {"عنوان سكن", "عناوين", "العنوان", "عنوانك"}, "bn": {"ঠিকানা"}},
	"door_code":     {"en": {"door code", "entrance code", "entry code"}, "ko": {"현관", "출입 비밀번호", "출입번호"}, "ar": {"رمز باب", "رموز الأبواب", "رمز المدخل"}, "bn": {"প্রবেশদ্বারের কোড", "দরজার কোড"}},
	"order_history": {"en": {"order"}, "ko": {"주문"}, "ar": {"طلب"}, "bn": {"অর্ডার"}},
	"payment":       {"en": {"payment", "card"}, "ko": {"결제", "카드"}, "ar": {"الدفع", "بطاقة"}, "bn": {"পেমেন্ট", "কার্ড"}},
	"credential":    {"en": {"password", "log-in", "login"}, "ko": {"비밀번호", "로그인"}, "ar": {"كلمة المرور", "تسجيل الدخول"}, "bn": {"পাসওয়ার্ড", "লগ-ইন"}},
	"birth_date":    {"en": {"birth"}, "ko": {"생년월일", "생일"}, "ar": {"ميلاد"}, "bn": {"জন্মতারিখ", "জন্ম তারিখ"}},
	"national_id":   {"en": {"national id", "resident registration"}, "ko": {"주민등록번호"}, "ar": {"هوية", "هويت"}, "bn": {"জাতীয় পরিচয়"}},
	"location":      {"en": {"location"}, "ko": {"위치"}, "ar": {"أماكن", "موقع"}, "bn": {"জায়গা", "অবস্থান"}},
	"contents":      {"en": {"content"}, "ko": {"내용"}, "ar": {"محتوي", "محتوى"}, "bn": {"বিষয়বস্তু"}},
}

func fieldName(field, lang string) string {
	if t, ok := fieldNames[field]; ok {
		return t.In(lang)
	}
	return strings.ReplaceAll(field, "_", " ")
}
