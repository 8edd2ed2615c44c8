package calls

import (
	"context"
	"errors"
	"regexp"
	"strings"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/types"
	"google.golang.org/protobuf/proto"
)

type newsletterShown struct {
	JID         string  `json:"jid"`
	Name        string  `json:"name"`
	Description *string `json:"description"`
	Link        *string `json:"link"`
	Subscribers int     `json:"subscribers"`
	Verified    bool    `json:"verified"`
	State       string  `json:"state"`
	CreatedAt   *int64  `json:"created_at"`
	// Muted and Role are null when seen by link.
	Muted *bool   `json:"muted"`
	Role  *string `json:"role"`
}

// newsletters are those that this account follows or owns.
func newsletters(*arguments) action {
	return func(ctx context.Context, client *whatsmeow.Client) (any, error) {
		followed, err := client.GetSubscribedNewsletters(ctx)
		if err != nil {
			return nil, err
		}
		shown := make([]newsletterShown, 0, len(followed))
		for _, one := range followed {
			if one != nil {
				shown = append(shown, newsletterOf(one))
			}
		}
		return shown, nil
	}
}

var newsletterCode = regexp.MustCompile(`^[A-Za-z0-9]+$`)

// newsletter is one, by jid or by link.
func newsletter(in *arguments) action {
	if link := in.optionalText("link"); link != "" {
		in.take("jid")
		code, _, _ := strings.Cut(strings.TrimPrefix(link, whatsmeow.NewsletterLinkPrefix), "?")
		if !newsletterCode.MatchString(code) {
			in.refuse("a newsletter's link looks like " + whatsmeow.NewsletterLinkPrefix + "…")
		}
		return func(ctx context.Context, client *whatsmeow.Client) (any, error) {
			return foundNewsletter(client.GetNewsletterInfoWithInvite(ctx, code))
		}
	}
	jid := in.newsletter("jid")
	return func(ctx context.Context, client *whatsmeow.Client) (any, error) {
		return foundNewsletter(client.GetNewsletterInfo(ctx, jid))
	}
}

// errNotNamed leaves open whether there is a newsletter now.
var errNotNamed = errors.New("WhatsApp did not name the new newsletter")

// createNewsletter makes one. WhatsApp wants its terms for newsletters to be accepted in the app before the first one.
func createNewsletter(in *arguments) action {
	name := in.words("name", "a newsletter needs a name")
	description, path := in.optionalText("description"), in.optionalText("path")
	return func(ctx context.Context, client *whatsmeow.Client) (any, error) {
		drawn, err := jpeg(path)
		if err != nil {
			return nil, err
		}
		made, err := client.CreateNewsletter(ctx, whatsmeow.CreateNewsletterParams{
			Name: name, Description: description, Picture: drawn,
		})
		if err != nil {
			return nil, err
		}
		if made == nil || made.ID.User == "" {
			return nil, errNotNamed
		}
		return newsletterOf(made), nil
	}
}

func followNewsletter(in *arguments) action {
	jid := in.newsletter("jid")
	return func(ctx context.Context, client *whatsmeow.Client) (any, error) {
		return nil, client.FollowNewsletter(ctx, jid)
	}
}

func unfollowNewsletter(in *arguments) action {
	jid := in.newsletter("jid")
	return func(ctx context.Context, client *whatsmeow.Client) (any, error) {
		return nil, client.UnfollowNewsletter(ctx, jid)
	}
}

func muteNewsletter(in *arguments) action {
	jid, muted := in.newsletter("jid"), in.flag("muted")
	return func(ctx context.Context, client *whatsmeow.Client) (any, error) {
		return nil, client.NewsletterToggleMute(ctx, jid, muted)
	}
}

type post struct {
	ID        string         `json:"id"`
	ServerID  int            `json:"server_id"`
	Type      string         `json:"type"`
	Timestamp *int64         `json:"timestamp"`
	Views     int            `json:"views"`
	Reactions map[string]int `json:"reactions"`
	// Message is WhatsApp's bytes; null for a post that was deleted.
	Message []byte `json:"message"`
}

// usualPosts and mostPosts bound one page of a newsletter.
const (
	usualPosts = 20
	mostPosts  = 100
)

// newsletterMessages are posts of a newsletter, the youngest ones or those before a server id.
func newsletterMessages(in *arguments) action {
	jid, count := in.newsletter("jid"), in.between("count", usualPosts, 1, mostPosts)
	before := in.between("before", 0, 1, 1<<53)
	return func(ctx context.Context, client *whatsmeow.Client) (any, error) {
		told, err := client.GetNewsletterMessages(
			ctx, jid, &whatsmeow.GetNewsletterMessagesParams{Count: int(count), Before: int(before)},
		)
		if err != nil {
			return nil, err
		}
		posts := make([]post, 0, len(told))
		for _, one := range told {
			shown, err := postOf(one)
			if err != nil {
				return nil, err
			}
			posts = append(posts, shown)
		}
		return posts, nil
	}
}

func postOf(one *types.NewsletterMessage) (post, error) {
	shown := post{
		ID:        one.MessageID,
		ServerID:  one.MessageServerID,
		Type:      one.Type,
		Timestamp: seconds(one.Timestamp),
		Views:     one.ViewsCount,
		Reactions: one.ReactionCounts,
	}
	if shown.Reactions == nil {
		shown.Reactions = map[string]int{}
	}
	if one.Message != nil {
		content, err := proto.Marshal(one.Message)
		if err != nil {
			return post{}, err
		}
		shown.Message = content
	}
	return shown, nil
}

// foundNewsletter makes an answer of what whatsmeow tells of a newsletter.
func foundNewsletter(one *types.NewsletterMetadata, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	if one == nil || one.ID.User == "" {
		return nil, refuse("NotFound", "there is no such newsletter")
	}
	return newsletterOf(one), nil
}

func newsletterOf(one *types.NewsletterMetadata) newsletterShown {
	about := one.ThreadMeta
	shown := newsletterShown{
		JID:         one.ID.String(),
		Name:        about.Name.Text,
		Description: orNull(about.Description.Text),
		Subscribers: about.SubscriberCount,
		Verified:    about.VerificationState == types.NewsletterVerificationStateVerified,
		State:       string(one.State.Type),
		CreatedAt:   seconds(about.CreationTime.Time),
	}
	if about.InviteCode != "" {
		shown.Link = orNull(whatsmeow.NewsletterLinkPrefix + about.InviteCode)
	}
	if viewer := one.ViewerMeta; viewer != nil {
		muted := viewer.Mute == types.NewsletterMuteOn
		shown.Muted, shown.Role = &muted, orNull(string(viewer.Role))
	}
	return shown
}
