package calls

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"google.golang.org/protobuf/proto"
)

// pairs knows LIDs by number.
type pairs struct {
	store.LIDStore
	known map[string]string
}

func (known pairs) GetLIDForPN(_ context.Context, number types.JID) (types.JID, error) {
	if lid, ok := known.known[number.User]; ok {
		return types.NewJID(lid, types.HiddenUserServer), nil
	}
	return types.EmptyJID, nil
}

func (known pairs) GetPNForLID(_ context.Context, lid types.JID) (types.JID, error) {
	for number, other := range known.known {
		if other == lid.User {
			return types.NewJID(number, types.DefaultUserServer), nil
		}
	}
	return types.EmptyJID, errors.New("the file cannot be read")
}

func clientThatKnows(known map[string]string) *whatsmeow.Client {
	return &whatsmeow.Client{Store: &store.Device{LIDs: pairs{known: known}}}
}

func shownAs(t *testing.T, value any, wanted string) {
	t.Helper()
	made, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	if string(made) != wanted {
		t.Errorf("%s\nnot %s", made, wanted)
	}
}

func TestAGroup(t *testing.T) {
	client := clientThatKnows(map[string]string{"4915": "77"})
	info := &types.GroupInfo{
		JID:            types.NewJID("1", types.GroupServer),
		OwnerJID:       types.NewJID("77", types.HiddenUserServer),
		GroupName:      types.GroupName{Name: "Team", NameSetAt: time.Unix(5, 0)},
		GroupEphemeral: types.GroupEphemeral{DisappearingTimer: 9},
		Participants: []types.GroupParticipant{
			{JID: types.JID{User: "77", Device: 3, Server: types.HiddenUserServer}, IsAdmin: true, IsSuperAdmin: true},
			{JID: types.NewJID("78", types.HiddenUserServer), Error: 403},
			{JID: types.NewJID("4915", types.DefaultUserServer), Error: 999, DisplayName: "+4∙"},
		},
	}
	about := `{"jid":"1@g.us","subject":"Team","subject_at":5,"subject_by":null,"description":null,"description_at":null,` +
		`"description_by":null,"owner":"77@lid","owner_phone":"4915","created_at":null,"locked":false,"announce":false,` +
		`"disappearing_seconds":0,"community":false,"community_jid":null,"size":3`
	shownAs(t, groupOf(t.Context(), client, info, false), about+"}")
	shownAs(t, groupOf(t.Context(), client, info, true), about+`,"participants":[`+
		`{"jid":"77@lid","phone":"4915","lid":"77@lid","role":"superadmin","name":null,"error":null},`+
		`{"jid":"78@lid","phone":null,"lid":"78@lid","role":"member","name":null,"error":"invite_needed"},`+
		`{"jid":"4915@s.whatsapp.net","phone":"4915","lid":"77@lid","role":"member","name":"+4∙","error":"refused"}]}`)
	info.Participants = nil
	made, _ := json.Marshal(groupOf(t.Context(), client, info, true))
	var shown map[string]json.RawMessage
	if err := json.Unmarshal(made, &shown); err != nil || string(shown["participants"]) != "[]" {
		t.Errorf("%s %v", made, err)
	}
}

func TestOutcomes(t *testing.T) {
	client := clientThatKnows(nil)
	changed := []types.GroupParticipant{
		{JID: types.NewJID("4915", types.DefaultUserServer)},
		{JID: types.NewJID("4916", types.DefaultUserServer), Error: 404},
	}
	shownAs(t, outcomesOf(t.Context(), client, changed, notChanged), `[`+
		`{"jid":"4915@s.whatsapp.net","phone":"4915","lid":null,"done":true,"error":null,"error_code":null},`+
		`{"jid":"4916@s.whatsapp.net","phone":"4916","lid":null,"done":false,"error":"no_member","error_code":404}]`)
	shownAs(t, outcomesOf(t.Context(), client, nil, notChanged), `[]`)
}

func TestAChatsSettings(t *testing.T) {
	chat, now := types.NewJID("1", types.GroupServer), time.Unix(1000, 0)
	for _, one := range []struct {
		until  time.Time
		wanted string
	}{
		{time.Time{}, `"muted":false,"muted_until":null}`},
		{now, `"muted":false,"muted_until":null}`},
		{now.Add(time.Minute), `"muted":true,"muted_until":1060}`},
		{store.MutedForever, `"muted":true,"muted_until":null}`},
	} {
		found := types.LocalChatSettings{Found: true, Pinned: true, MutedUntil: one.until}
		shownAs(t, chatOf(chat, found, now), `{"chat":"1@g.us","archived":false,"pinned":true,`+one.wanted)
	}
}

func TestAContactUnderNumberAndLID(t *testing.T) {
	client := clientThatKnows(map[string]string{"4915": "77"})
	number := contactOf(t.Context(), client, types.NewJID("4915", types.DefaultUserServer), types.ContactInfo{FullName: "Ada"})
	lid := contactOf(t.Context(), client, types.NewJID("77", types.HiddenUserServer), types.ContactInfo{FullName: "A", PushName: "ada"})
	number.merge(lid)
	shownAs(t, number, `{"jid":"4915@s.whatsapp.net","phone":"4915","lid":"77@lid","full_name":"Ada","first_name":null,`+
		`"push_name":"ada","business_name":null}`)
	if contactOf(t.Context(), client, types.NewJID("1", types.GroupServer), types.ContactInfo{}) != nil {
		t.Error("a group is no contact")
	}
}

func TestANewsletterAndItsPosts(t *testing.T) {
	one := &types.NewsletterMetadata{
		ID:    types.NewJID("1", types.NewsletterServer),
		State: types.WrappedNewsletterState{Type: types.NewsletterStateActive},
	}
	shownAs(t, newsletterOf(one), `{"jid":"1@newsletter","name":"","description":null,"link":null,"subscribers":0,`+
		`"verified":false,"state":"active","created_at":null,"muted":null,"role":null}`)
	one.ThreadMeta.InviteCode = "X1"
	one.ThreadMeta.VerificationState = types.NewsletterVerificationStateVerified
	one.ThreadMeta.CreationTime.Time = time.Unix(7, 0)
	one.ViewerMeta = &types.NewsletterViewerMetadata{Mute: types.NewsletterMuteOn, Role: types.NewsletterRoleOwner}
	shownAs(t, newsletterOf(one), `{"jid":"1@newsletter","name":"","description":null,"link":"https://whatsapp.com/channel/X1",`+
		`"subscribers":0,"verified":true,"state":"active","created_at":7,"muted":true,"role":"owner"}`)
	deleted, err := postOf(&types.NewsletterMessage{MessageID: "A", MessageServerID: 3, Type: "text"})
	if err != nil {
		t.Fatal(err)
	}
	shownAs(t, deleted, `{"id":"A","server_id":3,"type":"text","timestamp":null,"views":0,"reactions":{},"message":null}`)
	shown, err := postOf(&types.NewsletterMessage{Message: &waE2E.Message{Conversation: proto.String("x")}})
	if err != nil || len(shown.Message) == 0 {
		t.Error(shown, err)
	}
}

func TestTheOrderOfPersons(t *testing.T) {
	table := map[types.JID]int{}
	for _, text := range []string{"2@lid", "4916@s.whatsapp.net", "1@lid", "4915@s.whatsapp.net"} {
		jid, _ := parseJID(text)
		table[jid] = 0
	}
	shownAs(t, inOrder(table), `["4915@s.whatsapp.net","4916@s.whatsapp.net","1@lid","2@lid"]`)
}

func TestFilesOfThisMachine(t *testing.T) {
	folder := t.TempDir()
	picture, other := filepath.Join(folder, "picture"), filepath.Join(folder, "other")
	for path, content := range map[string]string{picture: "\xff\xd8\xff\xe0", other: "GIF89a"} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if content, err := jpeg(picture); err != nil || len(content) != 4 {
		t.Error(content, err)
	}
	if content, err := jpeg(""); err != nil || content != nil {
		t.Error(content, err)
	}
	if _, err := jpeg(other); codeOf(err) != "Invalid" {
		t.Error(err)
	}
	_, err := jpeg(filepath.Join(folder, "nothing"))
	if codeOf(err) != "FileUnreadable" || strings.Contains(err.Error(), folder) {
		t.Error(err)
	}
	file, err := nameless(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	if found, err := os.ReadDir(folder); err != nil || len(found) != 2 {
		t.Error(found, err)
	}
	if _, err := file.WriteString("x"); err != nil {
		t.Error(err)
	}
	if _, err := nameless(filepath.Join(folder, "nowhere")); codeOf(err) != "Failed" || strings.Contains(err.Error(), folder) {
		t.Error(err)
	}
}
