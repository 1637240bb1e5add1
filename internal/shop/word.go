package shop

// The words that customers are made of. Family and given names are common ones, put together at random. Districts and streets do not exist: 보기 and
// 견본 mean "example" and "sample".
var (
	koreanFamilies = []string{"김", "이", "박", "최", "정", "강", "조", "윤", "장", "임", "한", "오", "서", "신", "권", "황", "안", "송", "류", "홍"}
	koreanGivens   = []string{
		"하늘", "지우", "서준", "민서", "도윤", "서연", "예준", "하은", "시우", "지호", "수아", "은우", "유진", "다은", "현우", "채원", "건우", "소율", "태윤", "나연",
		"정민", "미경", "성호", "영숙", "동현", "혜진", "상철", "보람", "가온", "아라",
	}
	englishFamilies = []string{"Baker", "Carter", "Dunn", "Ellis", "Foster", "Grant", "Hayes", "Irving", "Jensen", "Keller", "Lowe", "Mason", "Norris", "O'Dell", "Porter", "Quinn"}
	englishGivens   = []string{"Alice", "Ben", "Clara", "Daniel", "Emma", "Felix", "Grace", "Henry", "Isla", "Jack", "Katie", "Liam", "Maya", "Noah", "Olive", "Peter"}

	koreanDistricts = []string{"서울시 보기구", "부산시 견본구", "대전시 예시구", "인천시 표본구", "광주시 모형구"}
	koreanStreets   = []string{"견본로", "보기길", "예시대로", "하늘마을길", "시험로", "표본길"}
	englishTowns    = []string{"Exampleton", "Sampleford", "Port Specimen", "Mockville"}
	englishStreets  = []string{"Example Street", "Sample Lane", "Specimen Road", "Placeholder Avenue"}

	relations = []string{"family", "friend", "gift"}
	topics    = []string{"parcel not arrived", "change of address", "refund", "broken item", "door code changed", "wrong size"}
)

// product is something that the shop sells.
type product struct {
	ID    int
	Name  string
	Says  string
	Won   int64
	Shape string // the picture
}

var products = []product{
	{1, "Cloud mug", "Stoneware, 350 ml, dishwasher-safe.", 14_900, "mug"},
	{2, "Barley tea, 40 bags", "Roasted in small batches. No caffeine.", 6_500, "box"},
	{3, "Linen apron", "One size, two pockets, sky blue.", 32_000, "cloth"},
	{4, "Rice cooker, 4 cups", "Keeps warm for twelve hours.", 89_000, "pot"},
	{5, "Pine desk lamp", "Warm light, with a dimmer.", 47_500, "lamp"},
	{6, "Persimmons, 2 kg", "From the first cold week of the year.", 18_900, "fruit"},
	{7, "Rain boots", "Natural rubber, sizes 230 to 290.", 39_900, "boot"},
	{8, "Notebook, dotted", "A5, 192 pages, opens flat.", 9_800, "book"},
}
