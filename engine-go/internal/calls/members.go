package calls

import (
	"context"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/types"

	"whatsam.io/engine/internal/inbound"
)

// What WhatsApp's error at a participant means; any other is "refused".
var (
	notAdded = map[int]string{
		401: "blocked",
		403: "invite_needed",
		404: "not_on_whatsapp",
		408: "left_recently",
		409: "member_already",
		419: "group_full",
		500: "group_full",
	}
	notChanged = map[int]string{403: "forbidden", 404: "no_member", 406: "not_possible", 409: "so_already"}
)

func wordOf(words map[int]string, code int) *string {
	if code == 0 {
		return nil
	}
	if word, ok := words[code]; ok {
		return &word
	}
	return orNull("refused")
}

type member struct {
	person
	Role  string  `json:"role"`
	Name  *string `json:"name"`
	Error *string `json:"error"`
}

func memberOf(ctx context.Context, client *whatsmeow.Client, one types.GroupParticipant) member {
	role := "member"
	if one.IsSuperAdmin {
		role = "superadmin"
	} else if one.IsAdmin {
		role = "admin"
	}
	return member{participantOf(ctx, client, one), role, orNull(one.DisplayName), wordOf(notAdded, one.Error)}
}

func participantOf(ctx context.Context, client *whatsmeow.Client, one types.GroupParticipant) person {
	shown := person{JID: inbound.PersonText(one.JID), Phone: orNull(one.PhoneNumber.User)}
	if one.LID.User != "" {
		shown.LID = orNull(inbound.PersonText(one.LID))
	}
	if shown.Phone == nil {
		shown.Phone = phoneOf(ctx, client, one.JID)
	}
	if shown.LID == nil {
		shown.LID = lidOf(ctx, client, one.JID)
	}
	return shown
}

// An outcome is what became of one participant of a change.
type outcome struct {
	person
	Done      bool    `json:"done"`
	Error     *string `json:"error"`
	ErrorCode *int    `json:"error_code"`
}

func outcomesOf(
	ctx context.Context, client *whatsmeow.Client, changed []types.GroupParticipant, words map[int]string,
) []outcome {
	outcomes := make([]outcome, len(changed))
	for i, one := range changed {
		outcomes[i] = outcome{
			person: participantOf(ctx, client, one), Done: one.Error == 0, Error: wordOf(words, one.Error),
		}
		if one.Error != 0 {
			outcomes[i].ErrorCode = &one.Error
		}
	}
	return outcomes
}

var participantActions = map[string]whatsmeow.ParticipantChange{
	"add":     whatsmeow.ParticipantChangeAdd,
	"remove":  whatsmeow.ParticipantChangeRemove,
	"promote": whatsmeow.ParticipantChangePromote,
	"demote":  whatsmeow.ParticipantChangeDemote,
}

// changeParticipants adds, removes, promotes or demotes, and tells what became of each.
func changeParticipants(in *arguments) action {
	wanted := oneOf(in, "action", "the action is one of add, remove, promote, demote", participantActions)
	return changeOf(in, wanted, whatsmeow.ParticipantChangeAdd, (*whatsmeow.Client).UpdateGroupParticipants)
}

type joinRequest struct {
	person
	RequestedAt *int64 `json:"requested_at"`
}

// joinRequests are those who wait for an admin's approval.
func joinRequests(in *arguments) action {
	jid := in.group("jid")
	return func(ctx context.Context, client *whatsmeow.Client) (any, error) {
		waiting, err := client.GetGroupRequestParticipants(ctx, jid)
		if err != nil {
			return nil, err
		}
		requests := make([]joinRequest, len(waiting))
		for i, one := range waiting {
			requests[i] = joinRequest{personOf(ctx, client, one.JID), seconds(one.RequestedAt)}
		}
		return requests, nil
	}
}

var requestActions = map[string]whatsmeow.ParticipantRequestChange{
	"approve": whatsmeow.ParticipantChangeApprove,
	"reject":  whatsmeow.ParticipantChangeReject,
}

// changeJoinRequests approves or rejects, and tells what became of each.
func changeJoinRequests(in *arguments) action {
	wanted := oneOf(in, "action", "the action is one of approve, reject", requestActions)
	return changeOf(in, wanted, whatsmeow.ParticipantChangeApprove, (*whatsmeow.Client).UpdateGroupRequestParticipants)
}

// changeOf changes something about those who are named, and tells what became of each; adds is the change that makes a member of somebody.
func changeOf[Change comparable](
	in *arguments, wanted, adds Change,
	change func(*whatsmeow.Client, context.Context, types.JID, []types.JID, Change) ([]types.GroupParticipant, error),
) action {
	jid, named := in.group("jid"), somebody(in)
	words := notChanged
	if wanted == adds {
		words = notAdded
	}
	return func(ctx context.Context, client *whatsmeow.Client) (any, error) {
		if err := learn(ctx, client, named); err != nil {
			return nil, err
		}
		changed, err := change(client, ctx, jid, named, wanted)
		if err != nil {
			return nil, err
		}
		return outcomesOf(ctx, client, changed, words), nil
	}
}

func somebody(in *arguments) []types.JID {
	persons := in.persons("participants")
	if len(persons) == 0 {
		in.refuse("nobody is named")
	}
	return persons
}
