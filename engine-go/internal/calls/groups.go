package calls

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/types"

	"whatsam.io/engine/internal/inbound"
)

var inviteCode = regexp.MustCompile(`^[A-Za-z0-9_-]{6,64}$`)

type groupShown struct {
	JID                 string  `json:"jid"`
	Subject             string  `json:"subject"`
	SubjectAt           *int64  `json:"subject_at"`
	SubjectBy           *string `json:"subject_by"`
	Description         *string `json:"description"`
	DescriptionAt       *int64  `json:"description_at"`
	DescriptionBy       *string `json:"description_by"`
	Owner               *string `json:"owner"`
	OwnerPhone          *string `json:"owner_phone"`
	CreatedAt           *int64  `json:"created_at"`
	Locked              bool    `json:"locked"`
	Announce            bool    `json:"announce"`
	DisappearingSeconds uint32  `json:"disappearing_seconds"`
	Community           bool    `json:"community"`
	CommunityJID        *string `json:"community_jid"`
	Size                int     `json:"size"`
	// Participants is left out, not null, where only the group itself was asked for.
	Participants *[]member `json:"participants,omitempty"`
}

// groups are those of this account; their members only with participants.
func groups(in *arguments) action {
	whole := in.optionalFlag("participants")
	return func(ctx context.Context, client *whatsmeow.Client) (any, error) {
		joined, err := client.GetJoinedGroups(ctx)
		if err != nil {
			return nil, err
		}
		shown := make([]groupShown, len(joined))
		for i, info := range joined {
			shown[i] = groupOf(ctx, client, info, whole)
		}
		return shown, nil
	}
}

// group is one with its members.
func group(in *arguments) action {
	jid := in.group("jid")
	return func(ctx context.Context, client *whatsmeow.Client) (any, error) {
		return wholeGroup(ctx, client)(client.GetGroupInfo(ctx, jid))
	}
}

// createGroup answers with the new group. Members of the answer who carry an error are not in it.
func createGroup(in *arguments) action {
	subject, members := subject(in), in.persons("participants")
	return func(ctx context.Context, client *whatsmeow.Client) (any, error) {
		if err := learn(ctx, client, members); err != nil {
			return nil, err
		}
		return wholeGroup(ctx, client)(
			client.CreateGroup(ctx, whatsmeow.ReqCreateGroup{Name: subject, Participants: members}),
		)
	}
}

func setGroupSubject(in *arguments) action {
	jid, subject := in.group("jid"), subject(in)
	return func(ctx context.Context, client *whatsmeow.Client) (any, error) {
		return nil, client.SetGroupName(ctx, jid, subject)
	}
}

// setGroupDescription changes the description; an empty one removes it. WhatsApp wants the id of the previous one.
func setGroupDescription(in *arguments) action {
	jid, description := in.group("jid"), in.text("description")
	return func(ctx context.Context, client *whatsmeow.Client) (any, error) {
		info, err := client.GetGroupInfo(ctx, jid)
		if err != nil {
			return nil, beforehand{err}
		}
		return nil, client.SetGroupTopic(ctx, jid, info.TopicID, "", description)
	}
}

// setGroupPicture changes the picture to the JPEG at path, or removes it.
func setGroupPicture(in *arguments) action { return setPicture(in, in.group("jid")) }

// setGroupAnnounce sets whether only admins may write.
func setGroupAnnounce(in *arguments) action {
	jid, announce := in.group("jid"), in.flag("announce")
	return func(ctx context.Context, client *whatsmeow.Client) (any, error) {
		return nil, client.SetGroupAnnounce(ctx, jid, announce)
	}
}

// setGroupLocked sets whether only admins may change subject, description and picture.
func setGroupLocked(in *arguments) action {
	jid, locked := in.group("jid"), in.flag("locked")
	return func(ctx context.Context, client *whatsmeow.Client) (any, error) {
		return nil, client.SetGroupLocked(ctx, jid, locked)
	}
}

// groupInviteLink is the invite link; with reset a new one, and the old one ends.
func groupInviteLink(in *arguments) action {
	jid, reset := in.group("jid"), in.optionalFlag("reset")
	return func(ctx context.Context, client *whatsmeow.Client) (any, error) {
		link, err := client.GetGroupInviteLink(ctx, jid, reset)
		if err != nil {
			return nil, err
		}
		return map[string]string{"link": link}, nil
	}
}

// groupByLink is the group behind an invite link, without joining it.
func groupByLink(in *arguments) action {
	code := invite(in)
	return func(ctx context.Context, client *whatsmeow.Client) (any, error) {
		return wholeGroup(ctx, client)(client.GetGroupInfoFromLink(ctx, code))
	}
}

type joinedGroup struct {
	JID string `json:"jid"`
	// Joined is false when an admin must approve first, null when that is not known.
	Joined *bool `json:"joined"`
}

// joinGroup joins by link. whatsmeow tells the group only, not whether an admin must approve first, so the group is asked
// for: only members may.
func joinGroup(in *arguments) action {
	code := invite(in)
	return func(ctx context.Context, client *whatsmeow.Client) (any, error) {
		jid, err := client.JoinGroupWithLink(ctx, code)
		if err != nil {
			return nil, err
		}
		answer := joinedGroup{JID: jid.String()}
		_, err = client.GetGroupInfo(ctx, jid)
		if joined := err == nil; joined || errors.Is(err, whatsmeow.ErrNotInGroup) {
			answer.Joined = &joined
		}
		return answer, nil
	}
}

func leaveGroup(in *arguments) action {
	jid := in.group("jid")
	return func(ctx context.Context, client *whatsmeow.Client) (any, error) {
		return nil, client.LeaveGroup(ctx, jid)
	}
}

func subject(in *arguments) string { return in.words("subject", "a group needs a subject") }

func invite(in *arguments) string {
	code, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(in.text("link")), whatsmeow.InviteLinkPrefix), "?")
	if !inviteCode.MatchString(code) {
		in.refuse("an invite link looks like " + whatsmeow.InviteLinkPrefix + "…")
	}
	return code
}

// wholeGroup makes an answer of what whatsmeow tells of a group.
func wholeGroup(ctx context.Context, client *whatsmeow.Client) func(*types.GroupInfo, error) (any, error) {
	return func(info *types.GroupInfo, err error) (any, error) {
		if err != nil {
			return nil, err
		}
		return groupOf(ctx, client, info, true), nil
	}
}

func groupOf(ctx context.Context, client *whatsmeow.Client, info *types.GroupInfo, whole bool) groupShown {
	shown := groupShown{
		JID:           info.JID.String(),
		Subject:       info.Name,
		SubjectAt:     seconds(info.NameSetAt),
		SubjectBy:     orNull(inbound.PersonText(info.NameSetBy)),
		Description:   orNull(info.Topic),
		DescriptionAt: seconds(info.TopicSetAt),
		DescriptionBy: orNull(inbound.PersonText(info.TopicSetBy)),
		Owner:         orNull(inbound.PersonText(info.OwnerJID)),
		OwnerPhone:    firstOf(orNull(info.OwnerPN.User), phoneOf(ctx, client, info.OwnerJID)),
		CreatedAt:     seconds(info.GroupCreated),
		Locked:        info.IsLocked,
		Announce:      info.IsAnnounce,
		Community:     info.IsParent,
		CommunityJID:  orNull(info.LinkedParentJID.String()),
		Size:          len(info.Participants),
	}
	if info.IsEphemeral {
		shown.DisappearingSeconds = info.DisappearingTimer
	}
	if whole {
		members := make([]member, len(info.Participants))
		for i, participant := range info.Participants {
			members[i] = memberOf(ctx, client, participant)
		}
		shown.Participants = &members
	}
	return shown
}

// seconds is Unix time; null for a time that was not told.
func seconds(at time.Time) *int64 {
	if unix := at.Unix(); unix > 0 {
		return &unix
	}
	return nil
}
