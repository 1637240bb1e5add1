package sim

import (
	"bytes"
	_ "embed"
	"fmt"
	"reflect"
	"sync"

	"github.com/goccy/go-yaml"
)

//go:embed shop.yaml
var shopFile []byte

//go:embed catalog.yaml
var catalogFile []byte

// Catalog is the shop's catalog: which page shows which fields.
func Catalog() []byte { return append([]byte(nil), catalogFile...) }

// span is a range of whole numbers, both ends included.
type span [2]int

// params is shop.yaml: every number of the honest shop and of the attackers. What each means, and where it is from, stands
// there.
type params struct {
	WarmUpDays int `yaml:"warm_up_days"`
	Numbers    struct {
		Block          int   `yaml:"block"`
		Customers      int   `yaml:"customers"`
		Withdrawn      int   `yaml:"withdrawn"`
		MergedPermille int   `yaml:"merged_permille"`
		CanaryOneIn    int   `yaml:"canary_one_in"`
		JoinPermille   int   `yaml:"join_permille"`
		LeavePermille  int   `yaml:"leave_permille"`
		MemberDays     span  `yaml:"member_days"`
		ActiveDays     span  `yaml:"active_days"`
		GoneDays       span  `yaml:"gone_days"`
		BookWeights    []int `yaml:"book_weights"`
	} `yaml:"numbers"`
	Use []struct {
		Share          int `yaml:"share"`
		VisitsPermille int `yaml:"visits_permille"`
	} `yaml:"use"`
	DormantDays      span `yaml:"dormant_days"`
	AgainOneIn       int  `yaml:"again_one_in"`
	Pages            span `yaml:"pages"`
	LongOneIn        int  `yaml:"long_one_in"`
	LongPages        span `yaml:"long_pages"`
	PageSeconds      span `yaml:"page_seconds"`
	DeadProductOneIn int  `yaml:"dead_product_one_in"`
	OldOrderOneIn    int  `yaml:"old_order_one_in"`
	Steps            struct {
		Home      int `yaml:"home"`
		Search    int `yaml:"search"`
		Product   int `yaml:"product"`
		Cart      int `yaml:"cart"`
		Me        int `yaml:"me"`
		Addresses int `yaml:"addresses"`
		Orders    int `yaml:"orders"`
		Order     int `yaml:"order"`
		Edit      int `yaml:"edit"`
		Payment   int `yaml:"payment"`
		Buy       int `yaml:"buy"`
	} `yaml:"steps"`
	Hours            [24]int `yaml:"hours"`
	WeekdaysPermille [7]int  `yaml:"weekdays_permille"`
	Devices          struct {
		AppPermille    int `yaml:"app_permille"`
		SecondPermille int `yaml:"second_permille"`
		TokenDays      int `yaml:"token_days"`
		UpgradeDays    int `yaml:"upgrade_days"`
	} `yaml:"devices"`
	Networks struct {
		CarrierPermille   int `yaml:"carrier_permille"`
		CustomersPerNAT   int `yaml:"customers_per_nat"`
		LeastNATs         int `yaml:"least_nats"`
		IPv6Permille      int `yaml:"ipv6_permille"`
		HouseholdPermille int `yaml:"household_permille"`
		VPNPermille       int `yaml:"vpn_permille"`
		OtherPermille     int `yaml:"other_permille"`
	} `yaml:"networks"`
	Login struct {
		WrongOneIn  int  `yaml:"wrong_one_in"`
		AgainMillis span `yaml:"again_millis"`
	} `yaml:"login"`
	OnceHours span `yaml:"once_hours"`
	FlashSale struct {
		Permille int `yaml:"permille"`
		Minutes  int `yaml:"minutes"`
		Hour     int `yaml:"hour"`
	} `yaml:"flash_sale"`
	Campaign struct {
		Days     int `yaml:"days"`
		Permille int `yaml:"permille"`
	} `yaml:"campaign"`
	Guests struct {
		CustomersPerGuest int  `yaml:"customers_per_guest"`
		CarrierPermille   int  `yaml:"carrier_permille"`
		Pages             span `yaml:"pages"`
		PageMillis        span `yaml:"page_millis"`
	} `yaml:"guests"`
	Links struct {
		PublicOneIn    int `yaml:"public_one_in"`
		FollowPermille int `yaml:"follow_permille"`
		DeadPermille   int `yaml:"dead_permille"`
		CutPermille    int `yaml:"cut_permille"`
	} `yaml:"links"`
	Storm struct {
		Minutes         int  `yaml:"minutes"`
		TryMillis       span `yaml:"try_millis"`
		OneIn           int  `yaml:"one_in"`
		Tries           span `yaml:"tries"`
		RefusedPermille int  `yaml:"refused_permille"`
		StaleTries      int  `yaml:"stale_tries"`
	} `yaml:"storm"`
	Stale struct {
		Permille int `yaml:"permille"`
		OneIn    int `yaml:"one_in"`
	} `yaml:"stale"`
	Backup struct {
		Minutes int `yaml:"minutes"`
	} `yaml:"backup"`
	Clock struct {
		Nodes       int  `yaml:"nodes"`
		Days        int  `yaml:"days"`
		SlowSeconds span `yaml:"slow_seconds"`
		FastSeconds span `yaml:"fast_seconds"`
	} `yaml:"clock"`
	Delivery struct {
		LateOneIn     int  `yaml:"late_one_in"`
		LateMinutes   span `yaml:"late_minutes"`
		DoubleOneIn   int  `yaml:"double_one_in"`
		DoubleSeconds span `yaml:"double_seconds"`
	} `yaml:"delivery"`
	Feed struct {
		LossPer100000  int  `yaml:"loss_per_100000"`
		DelayPer100000 int  `yaml:"delay_per_100000"`
		DelayMinutes   span `yaml:"delay_minutes"`
		LagSeconds     int  `yaml:"lag_seconds"`
	} `yaml:"feed"`
	Desk struct {
		Most              int  `yaml:"most"`
		CustomersPerAgent int  `yaml:"customers_per_agent"`
		Least             int  `yaml:"least"`
		ShiftHours        int  `yaml:"shift_hours"`
		PauseMillis       span `yaml:"pause_millis"`
		OffPermille       int  `yaml:"off_permille"`
		Contacts          span `yaml:"contacts"`
		OrderedPermille   int  `yaml:"ordered_permille"`
		OrdersPermille    int  `yaml:"orders_permille"`
		MistypedOneIn     int  `yaml:"mistyped_one_in"`
		WrongOneIn        int  `yaml:"wrong_one_in"`
		TicketMinutes     int  `yaml:"ticket_minutes"`
		TravelPermille    int  `yaml:"travel_permille"`
	} `yaml:"desk"`
	Couriers struct {
		Stops        int  `yaml:"stops"`
		Manifest     int  `yaml:"manifest"`
		StopPermille int  `yaml:"stop_permille"`
		ShiftHours   int  `yaml:"shift_hours"`
		PageMillis   span `yaml:"page_millis"`
		StopMinutes  span `yaml:"stop_minutes"`
	} `yaml:"couriers"`
	Partners struct {
		CustomersPerPartner int  `yaml:"customers_per_partner"`
		Least               int  `yaml:"least"`
		Most                int  `yaml:"most"`
		WrongOneIn          int  `yaml:"wrong_one_in"`
		OrderMillis         span `yaml:"order_millis"`
	} `yaml:"partners"`
	Jobs struct {
		Export          int  `yaml:"export"`
		LoyaltyPermille int  `yaml:"loyalty_permille"`
		ExportMillis    span `yaml:"export_millis"`
		InvoiceMillis   int  `yaml:"invoice_millis"`
	} `yaml:"jobs"`
	Crawlers struct {
		Number           int `yaml:"number"`
		CustomersPerPage int `yaml:"customers_per_page"`
		DeadOneIn        int `yaml:"dead_one_in"`
		LinksPermille    int `yaml:"links_permille"`
		RefusedOneIn     int `yaml:"refused_one_in"`
	} `yaml:"crawlers"`
	QA struct {
		Accounts int `yaml:"accounts"`
		Runs     int `yaml:"runs"`
	} `yaml:"qa"`
	Attacks attackParams `yaml:"attacks"`
}

type attackParams struct {
	SharePPM  int  `yaml:"share_ppm"`
	StartDay  span `yaml:"start_day"`
	StolenKey struct {
		FastAddresses span `yaml:"fast_addresses"`
		SlowAddresses span `yaml:"slow_addresses"`
		FastNights    span `yaml:"fast_nights"`
		ListViews     span `yaml:"list_views"`
		EditOneIn     int  `yaml:"edit_one_in"`
		OrdersOneIn   int  `yaml:"orders_one_in"`
		ReachPercent  span `yaml:"reach_percent"`
		RequestMillis span `yaml:"request_millis"`
		NightMinutes  span `yaml:"night_minutes"`
		NightHours    int  `yaml:"night_hours"`
		AgainOneIn    int  `yaml:"again_one_in"`
		RefusedOneIn  int  `yaml:"refused_one_in"`
	} `yaml:"stolen_key"`
	Careful struct {
		Addresses  span `yaml:"addresses"`
		Views      span `yaml:"views"`
		CoverPages span `yaml:"cover_pages"`
		PageMillis span `yaml:"page_millis"`
	} `yaml:"careful"`
	Insider struct {
		Every span `yaml:"every"`
	} `yaml:"insider"`
	Courier struct {
		Extra span `yaml:"extra"`
	} `yaml:"courier"`
	PartnerTags struct {
		HitPermille span `yaml:"hit_permille"`
		Days        span `yaml:"days"`
	} `yaml:"partner_tags"`
	OneAPI struct {
		Days span `yaml:"days"`
	} `yaml:"one_api"`
	Stuffing struct {
		SuccessPermille span `yaml:"success_permille"`
		Addresses       span `yaml:"addresses"`
		Days            span `yaml:"days"`
		Pages           span `yaml:"pages"`
		PageMillis      span `yaml:"page_millis"`
	} `yaml:"stuffing"`
	SlowDrip struct {
		Night span `yaml:"night"`
	} `yaml:"slow_drip"`
	BulkJob struct {
		Nights     span `yaml:"nights"`
		List       span `yaml:"list"`
		ListMillis span `yaml:"list_millis"`
	} `yaml:"bulk_job"`
	BrokenRoute struct {
		AbsentPermille span `yaml:"absent_permille"`
		Days           span `yaml:"days"`
		Hours          int  `yaml:"hours"`
	} `yaml:"broken_route"`
}

// shopParams is the embedded shop file.
var shopParams = sync.OnceValue(func() *params {
	p, err := loadParams(shopFile)
	if err != nil {
		panic("BUG: embedded shop.yaml: " + err.Error())
	}
	return p
})

// loadParams reads the shop file. A member that params does not know, a missing one, or a range that is none is an error.
func loadParams(data []byte) (*params, error) {
	p := new(params)
	if err := yaml.NewDecoder(bytes.NewReader(data), yaml.Strict()).Decode(p); err != nil {
		return nil, fmt.Errorf("read shop file: %w", err)
	}
	if err := complete(reflect.ValueOf(p).Elem(), "shop"); err != nil {
		return nil, err
	}
	share := 0
	for _, u := range p.Use {
		share += u.Share
	}
	switch {
	case share != 1000:
		return nil, fmt.Errorf("check shop file: the shares under use add up to %d, not to 1000", share)
	case p.Numbers.Customers+p.Numbers.Withdrawn > p.Numbers.Block:
		return nil, fmt.Errorf("check shop file: numbers: more customers and withdrawn than a block has")
	case p.Delivery.DoubleSeconds[1]*1000 >= int(slotMillis):
		return nil, fmt.Errorf("check shop file: delivery: double_seconds must stay below %d", slotMillis/1000)
	}
	return p, nil
}

// complete refuses numbers below zero, empty ranges, and zeros: none of these parameters means anything at zero but one use
// class's visits, a weight and the lower end of a range.
func complete(v reflect.Value, path string) error {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			name := v.Type().Field(i).Tag.Get("yaml")
			if name == "visits_permille" {
				continue
			}
			if err := complete(v.Field(i), path+"."+name); err != nil {
				return err
			}
		}
	case reflect.Slice:
		if v.Len() == 0 {
			return fmt.Errorf("check shop file: %s is missing", path)
		}
		for i := range v.Len() {
			if err := complete(v.Index(i), path); err != nil {
				return err
			}
		}
	case reflect.Array:
		if s, ok := v.Interface().(span); ok {
			if s[0] < 0 || s[1] < max(1, s[0]) {
				return fmt.Errorf("check shop file: %s: [%d, %d] is no range", path, s[0], s[1])
			}
			return nil
		}
		for i := range v.Len() {
			if v.Index(i).Int() < 1 {
				return fmt.Errorf("check shop file: %s has a number below 1", path)
			}
		}
	case reflect.Int:
		if v.Int() < 1 {
			return fmt.Errorf("check shop file: %s is missing or below 1", path)
		}
	}
	return nil
}
