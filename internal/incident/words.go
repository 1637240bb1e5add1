package incident

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/whosaw/whosaw/internal/regime"
)

// softened are words for a leak that say less than it is. The regulator of the case objected to the first.
var softened = regexp.MustCompile(`(?i)\bexpos(?:ed|ure|ures)\b|노출|انكشا|انكشف|كُشفت|كشفت بيانات|উন্মুক্ত|উন্মোচ|এক্সপোজার`)

// nothingToDo are sentences that send people away.
var nothingToDo = regexp.MustCompile(`(?i)no (?:further |additional )?action (?:is |was )?(?:needed|required|necessary)|(?:do not|don't|no) need to (?:do|take)|nothing (?:to do|you need to do)|` +
	`(?:별도|추가)의? ?조치(?:가|는|를)? ?(?:필요(?:하지 않|가 없|없)|하실 필요)|` +
	`(?:لا|ليس|وليس|ولا) (?:يلزم|يتطلب|توجد حاجة|حاجة|هناك حاجة|داعي|عليكم)[^.]{0,40}(?:إجراء|شيء)|` +
	`(?:কোনো|কোন) (?:পদক্ষেপ|ব্যবস্থা)[^।]{0,40}নেই|কিছু(?:ই)? কর(?:ার|তে)[^।]{0,20}(?:নেই|হবে না)|لا (?:يلزم|يلزمك|داعي لاتخاذ|حاجة (?:إلى|لاتخاذ)|يتعين عليك) ?(?:اتخاذ )?(?:أي )?إجراء|(?:কোনো|কোন) (?:পদক্ষেপ|ব্যবস্থা) (?:নেওয়ার |নেয়ার )?(?:প্রয়োজন|দরকার) নেই|কিছু করার (?:প্রয়োজন|দরকার) নেই`)

// urgent are fields after whose leak there is something to do.
var urgent = []string{"door_code", "credential", "payment", "national_id", "passport", "bank_account"}

// atLeast stands before a figure that a gap touches.
var atLeast = regime.Text{"en": "at least ", "ko": "최소 ", "ar": "ما لا يقل عن ", "bn": "কমপক্ষে "}

var figureNames = map[string]regime.Text{
	"subjects":    {"en": "customers whose data was shown", "ko": "정보가 유출된 고객", "ar": "عملاء تسربت بياناتهم", "bn": "যে গ্রাহকদের তথ্য ফাঁস হয়েছে"},
	"others":      {"en": "entries of other people", "ko": "고객이 아닌 사람의 항목", "ar": "مدخلات تخص أشخاصًا آخرين", "bn": "অন্য ব্যক্তিদের এন্ট্রি"},
	"disclosures": {"en": "times that data was shown", "ko": "유출 횟수", "ar": "مرات عرض البيانات", "bn": "যতবার তথ্য দেখানো হয়েছে"},
	"field":       {"en": "shown in clear", "ko": "원문 유출", "ar": "ظهر كاملًا", "bn": "সম্পূর্ণ দেখা গেছে"},
	"masked":      {"en": "shown masked only", "ko": "일부 가려진 상태로만 유출", "ar": "ظهر محجوبًا جزئيًا فقط", "bn": "শুধু আংশিক ঢাকা অবস্থায় দেখা গেছে"},
}

// Languages are those that documents can be in.
var Languages = []string{"en", "ko", "ar", "bn"}

// FieldName is a field as people call it, in a language.
func FieldName(field, lang string) string { return fieldName(field, lang) }

var moments = map[regime.Moment]regime.Text{
	regime.Suspected: {"en": "suspected", "ko": "의심"}, regime.Aware: {"en": "aware", "ko": "인지"}, regime.Confirmed: {"en": "confirmed", "ko": "확인"},
	regime.Contained: {"en": "contained", "ko": "차단"}, regime.Material: {"en": "material", "ko": "중대성 판단"}, regime.Notified: {"en": "notified", "ko": "통지"},
	regime.Found: {"en": "found later", "ko": "추가 확인"},
}

var headings = map[string]regime.Text{
	"what_leaked":  {"en": "What leaked", "ko": "유출된 개인정보의 항목", "ar": "ما الذي تسرب", "bn": "কী ফাঁস হয়েছে"},
	"when_and_how": {"en": "When and how", "ko": "유출된 시점과 경위", "ar": "متى وكيف", "bn": "কখন এবং কীভাবে"},
	"people":       {"en": "How many people", "ko": "유출 규모", "ar": "عدد الأشخاص", "bn": "কতজন মানুষ"},
	"measures":     {"en": "What we do", "ko": "대응 조치", "ar": "ما نقوم به", "bn": "আমরা যা করছি"},
	"advice":       {"en": "What people can do", "ko": "정보주체가 할 수 있는 조치", "ar": "ما يمكنكم فعله", "bn": "আপনি যা করতে পারেন"},
	"remedy":       {"en": "How to seek remedy", "ko": "피해 구제 절차", "ar": "كيف تطلبون الإنصاف", "bn": "প্রতিকার কীভাবে চাইবেন"},
	"contact":      {"en": "Whom to contact", "ko": "담당 부서와 연락처", "ar": "بمن تتصلون", "bn": "কার সাথে যোগাযোগ করবেন"},
	"rights":       {"en": "Rights, and how to use them", "ko": "정보주체의 권리와 행사 방법", "ar": "حقوقكم وكيفية ممارستها", "bn": "আপনার অধিকার এবং তা প্রয়োগের উপায়"},
	"consequences": {"en": "Likely consequences", "ko": "예상되는 결과", "ar": "العواقب المحتملة", "bn": "সম্ভাব্য পরিণতি"},
	"cause":        {"en": "Cause", "ko": "원인", "ar": "السبب", "bn": "কারণ"},
	"dates":        {"en": "Dates", "ko": "날짜", "ar": "التواريخ", "bn": "তারিখ"},
	"police":       {"en": "Whether the police asked to wait", "ko": "수사기관의 통지 연기 요청 여부", "ar": "هل طلبت الشرطة التأجيل", "bn": "পুলিশ অপেক্ষা করতে বলেছে কি না"},
	"credit_help":  {"en": "Credit agencies, and help offered", "ko": "신용정보기관과 지원", "ar": "وكالات الائتمان والمساعدة المقدمة", "bn": "ক্রেডিট সংস্থা এবং প্রস্তাবিত সহায়তা"},
	"sample":       {"en": "The notice, as a sample", "ko": "통지문 견본", "ar": "نموذج الإشعار", "bn": "বিজ্ঞপ্তির নমুনা"},
	"impact":       {"en": "Impact", "ko": "영향", "ar": "الأثر", "bn": "প্রভাব"},
	"prevention":   {"en": "How it is kept from happening again", "ko": "재발 방지 대책", "ar": "كيف نمنع تكراره", "bn": "পুনরাবৃত্তি কীভাবে ঠেকানো হবে"},
}

// Contents are the contents that documents have, in the order of their names.
func Contents() []string { return slices.Sorted(maps.Keys(headings)) }

// Heading is the heading of a content of a document, in a language, else in English.
func Heading(content, lang string) string { return headings[content].In(lang) }

// fieldNames are the well-known fields as people call them.
var fieldNames = map[string]regime.Text{
	"name": {"en": "name", "ko": "이름", "ar": "الاسم", "bn": "নাম"}, "email": {"en": "e-mail address", "ko": "이메일", "ar": "البريد الإلكتروني", "bn": "ইমেইল ঠিকানা"}, "phone": {"en": "phone number", "ko": "전화번호", "ar": "رقم الهاتف", "bn": "ফোন নম্বর"},
	"address": {"en": "address", "ko": "주소", "ar": "العنوان", "bn": "ঠিকানা"}, "door_code": {"en": "door code", "ko": "공동현관 비밀번호", "ar": "رمز باب المبنى", "bn": "দরজার কোড"}, "order_history": {"en": "orders", "ko": "주문 내역", "ar": "الطلبات", "bn": "অর্ডার"},
	"payment": {"en": "payment data", "ko": "결제 정보", "ar": "بيانات الدفع", "bn": "পেমেন্ট তথ্য"}, "credential": {"en": "log-in data", "ko": "로그인 정보", "ar": "بيانات تسجيل الدخول", "bn": "লগ-ইন তথ্য"}, "birth_date": {"en": "date of birth", "ko": "생년월일", "ar": "تاريخ الميلاد", "bn": "জন্মতারিখ"},
	"national_id": {"en": "national id number", "ko": "주민등록번호", "ar": "رقم الهوية الوطنية", "bn": "জাতীয় পরিচয়পত্র নম্বর"}, "location": {"en": "location", "ko": "위치 정보", "ar": "الموقع", "bn": "অবস্থান"}, "contents": {"en": "contents", "ko": "내용", "ar": "المحتوى", "bn": "বিষয়বস্তু"},
}

// fieldWords are the words by which a text names a field, in small letters.
var fieldWords = map[string]map[string][]string{
	"name":          {"en": {"name"}, "ko": {"이름", "성명"}, "ar": {"اسم"}, "bn": {"নাম"}},
	"email":         {"en": {"e-mail", "email", "mail address"}, "ko": {"이메일", "전자우편"}, "ar": {"بريد"}, "bn": {"ইমেইল", "ই-মেইল"}},
	"phone":         {"en": {"phone", "telephone", "mobile number"}, "ko": {"전화", "연락처", "휴대폰"}, "ar": {"هاتف", "جوال"}, "bn": {"ফোন", "মোবাইল"}},
	"address":       {"en": {"address"}, "ko": {"주소", "배송지"}, "ar": {"عنوان", "عناوين", "عنوان سكن", "العنوان", "عنوانك"}, "bn": {"ঠিকানা"}},
	"door_code":     {"en": {"door code", "entrance code", "entry code"}, "ko": {"현관", "출입 비밀번호", "출입번호"}, "ar": {"رمز الباب", "رمز باب", "رموز الأبواب", "رمز الدخول", "رمز المدخل"}, "bn": {"দরজার কোড", "প্রবেশ কোড", "গেট কোড", "গেটের কোড", "প্রবেশদ্বারের কোড"}},
	"order_history": {"en": {"order"}, "ko": {"주문"}, "ar": {"طلبات", "الطلب", "طلب"}, "bn": {"অর্ডার"}},
	"payment":       {"en": {"payment", "card"}, "ko": {"결제", "카드"}, "ar": {"دفع", "بطاق", "الدفع", "بطاقة"}, "bn": {"পেমেন্ট", "কার্ড"}},
	"credential":    {"en": {"password", "log-in", "login"}, "ko": {"비밀번호", "로그인"}, "ar": {"كلمة المرور", "كلمات المرور", "تسجيل الدخول"}, "bn": {"পাসওয়ার্ড", "পাসওয়ার্ড", "লগ-ইন", "লগইন"}},
	"birth_date":    {"en": {"birth"}, "ko": {"생년월일", "생일"}, "ar": {"ميلاد"}, "bn": {"জন্ম", "জন্মতারিখ", "জন্ম তারিখ"}},
	"national_id":   {"en": {"national id", "resident registration"}, "ko": {"주민등록번호"}, "ar": {"هوية", "الرقم الوطني", "هويت"}, "bn": {"জাতীয় পরিচয়", "জাতীয় পরিচয়"}},
	"location":      {"en": {"location"}, "ko": {"위치"}, "ar": {"موقع", "أماكن"}, "bn": {"অবস্থান", "জায়গা"}},
	"contents":      {"en": {"content"}, "ko": {"내용"}, "ar": {"محتو", "محتوي", "محتوى"}, "bn": {"বিষয়বস্তু", "বিষয়বস্তু"}},
}

// namesOfOthers are phrases in small letters that have a word of a field in them and mean something else, in whatever language.
var namesOfOthers = map[string][]string{
	"address": {
		"e-mail address", "email address", "mail address", "이메일 주소", "이메일주소", "전자우편 주소", "전자우편주소", "عنوان البريد", "عناوين البريد", "عنوان بريد", "ইমেইল ঠিকানা", "ইমেইলের ঠিকানা",
		"ই-মেইল ঠিকানা",
	},
	"credential":    {"현관 비밀번호", "현관비밀번호", "출입 비밀번호", "출입비밀번호", "출입문 비밀번호"},
	"order_history": {"in order to", "in order that"},
}

func fieldName(field, lang string) string {
	if t, ok := fieldNames[field]; ok {
		return t.In(lang)
	}
	return strings.ReplaceAll(field, "_", " ")
}
