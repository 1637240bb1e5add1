package server_test

// said is what the company says: by language and content.
var said = map[string]map[string]string{
	"en": {
		"what_leaked":  "The data of {subjects} customers leaked: name, e-mail address, phone number and address, for {field:order_history} of them their orders, and for {field:door_code} of them the door code of their building.",
		"when_and_how": "Between 14 April and 8 November 2025 somebody used a signing key of ours to open customers' pages without logging in.",
		"people":       "The data of {subjects} customers leaked, and {others} entries of other people in their address books.",
		"cause":        "A signing key was not replaced when a person who could read it left.",
		"impact":       "Pages of customers' accounts could be opened without a log-in.",
		"advice":       "Change the code of your building's entrance. Be wary of calls and messages that know your address or your orders; we never ask for a password or a payment.",
		"measures":     "The key was replaced on 19 November 2025, and what it signs is refused. The authorities have been told.",
		"remedy":       "You can ask for compensation at our help desk, or turn to the Personal Information Dispute Mediation Committee.",
		"contact":      "Privacy office, privacy@haneul.example, weekdays 9:00 to 18:00.",
	},
	"ko": {
		"what_leaked":  "고객 {subjects}명의 정보가 유출되었습니다. 항목은 이름, 이메일, 전화번호, 주소이며 그 가운데 {field:order_history}명은 주문 내역, {field:door_code}명은 공동현관 비밀번호도 유출되었습니다.",
		"when_and_how": "2025년 4월 14일부터 11월 8일까지 누군가가 당사의 서명 키를 사용하여 로그인 없이 고객 페이지를 열었습니다.",
		"people":       "고객 {subjects}명과 주소록에 있는 다른 사람의 항목 {others}건이 유출되었습니다.",
		"cause":        "서명 키를 볼 수 있던 사람이 퇴사한 뒤에도 키를 교체하지 않았습니다.",
		"impact":       "로그인 없이 고객 계정의 페이지를 열 수 있었습니다.",
		"advice":       "공동현관 비밀번호를 바꾸세요. 주소나 주문 내역을 아는 전화와 문자를 조심하세요. 당사는 비밀번호나 결제를 요구하지 않습니다.",
		"measures":     "2025년 11월 19일에 키를 교체했으며 그 키로 서명된 것은 거부합니다. 감독 기관에 신고했습니다.",
		"remedy":       "고객센터에서 손해배상을 청구하거나 개인정보 분쟁조정위원회에 조정을 신청할 수 있습니다.",
		"contact":      "개인정보보호팀, privacy@haneul.example, 평일 9:00~18:00",
	},
	"ar": {
		"when_and_how": "بين 14 أبريل و8 نوفمبر 2025 استخدم شخص ما مفتاح توقيع يخصنا لفتح صفحات العملاء دون تسجيل الدخول.",
		"measures":     "استُبدل المفتاح في 19 نوفمبر 2025 ويُرفض كل ما يوقّعه. وقد أبلغنا الجهة المختصة.",
		"remedy":       "يمكنكم طلب التعويض من مركز المساعدة أو اللجوء إلى لجنة الوساطة في نزاعات البيانات الشخصية.",
		"contact":      "مكتب الخصوصية، privacy@haneul.example، أيام العمل من 9:00 إلى 18:00.",
	},
	"bn": {
		"when_and_how": "১৪ এপ্রিল থেকে ৮ নভেম্বর ২০২৫ পর্যন্ত কেউ আমাদের একটি স্বাক্ষর-চাবি ব্যবহার করে লগ-ইন ছাড়াই গ্রাহকদের পৃষ্ঠা খুলেছে।",
		"measures":     "১৯ নভেম্বর ২০২৫ চাবিটি বদলানো হয়েছে এবং তার স্বাক্ষর আর নেওয়া হয় না। কর্তৃপক্ষকে জানানো হয়েছে।",
		"remedy":       "আমাদের সহায়তা কেন্দ্রে ক্ষতিপূরণ চাইতে পারেন, অথবা ব্যক্তিগত তথ্য বিরোধ মধ্যস্থতা কমিটির কাছে যেতে পারেন।",
		"contact":      "গোপনীয়তা দপ্তর, privacy@haneul.example, কর্মদিবসে 9:00 থেকে 18:00।",
	},
}
