"""WhatsApp's end-to-end messages: those messages and fields that Whatsam writes or reads, with WhatsApp's own numbers.

Read by `schema`. One line per field: name, number, type; `*` marks a repeated one; a type that starts with a capital is
a message of this table. Enums are `enum`: any number is kept, also one that was invented after this was written. A
field that is not listed is not lost: it stays with the message and is written again.

A test compares each line with the engine's own descriptors.
"""

from typing import Final

TABLE: Final = """
MessageKey
  remoteJID 1 string
  fromMe 2 bool
  ID 3 string
  participant 4 string

Message
  conversation 1 string
  senderKeyDistributionMessage 2 SenderKeyDistributionMessage
  imageMessage 3 ImageMessage
  contactMessage 4 ContactMessage
  locationMessage 5 LocationMessage
  extendedTextMessage 6 ExtendedTextMessage
  documentMessage 7 DocumentMessage
  audioMessage 8 AudioMessage
  videoMessage 9 VideoMessage
  call 10 Call
  protocolMessage 12 ProtocolMessage
  contactsArrayMessage 13 ContactsArrayMessage
  liveLocationMessage 18 LiveLocationMessage
  templateMessage 25 TemplateMessage
  stickerMessage 26 StickerMessage
  groupInviteMessage 28 GroupInviteMessage
  templateButtonReplyMessage 29 TemplateButtonReplyMessage
  productMessage 30 ProductMessage
  deviceSentMessage 31 DeviceSentMessage
  messageContextInfo 35 MessageContextInfo
  listMessage 36 ListMessage
  viewOnceMessage 37 FutureProofMessage
  orderMessage 38 OrderMessage
  listResponseMessage 39 ListResponseMessage
  ephemeralMessage 40 FutureProofMessage
  buttonsMessage 42 ButtonsMessage
  buttonsResponseMessage 43 ButtonsResponseMessage
  interactiveMessage 45 InteractiveMessage
  reactionMessage 46 ReactionMessage
  interactiveResponseMessage 48 InteractiveResponseMessage
  pollCreationMessage 49 PollCreationMessage
  pollUpdateMessage 50 PollUpdateMessage
  keepInChatMessage 51 KeepInChatMessage
  documentWithCaptionMessage 53 FutureProofMessage
  viewOnceMessageV2 55 FutureProofMessage
  encReactionMessage 56 EncReactionMessage
  editedMessage 58 FutureProofMessage
  viewOnceMessageV2Extension 59 FutureProofMessage
  pollCreationMessageV2 60 PollCreationMessage
  groupMentionedMessage 62 FutureProofMessage
  pinInChatMessage 63 PinInChatMessage
  pollCreationMessageV3 64 PollCreationMessage
  ptvMessage 66 VideoMessage
  botInvokeMessage 67 FutureProofMessage
  callLogMesssage 69 CallLogMessage
  lottieStickerMessage 74 FutureProofMessage
  eventMessage 75 EventMessage
  commentMessage 77 CommentMessage
  newsletterAdminInviteMessage 78 NewsletterAdminInviteMessage
  placeholderMessage 80 PlaceholderMessage
  secretEncryptedMessage 82 SecretEncryptedMessage
  albumMessage 83 AlbumMessage
  stickerPackMessage 86 StickerPackMessage
  statusMentionMessage 87 FutureProofMessage
  associatedChildMessage 91 FutureProofMessage
  groupStatusMentionMessage 92 FutureProofMessage
  pollCreationMessageV4 93 FutureProofMessage
  groupStatusMessage 96 FutureProofMessage
  limitSharingMessage 99 FutureProofMessage
  questionMessage 101 FutureProofMessage
  groupStatusMessageV2 103 FutureProofMessage
  pollCreationMessageV5 111 PollCreationMessage
  pollCreationMessageV6 119 PollCreationMessage

FutureProofMessage
  message 1 Message

DeviceSentMessage
  destinationJID 1 string
  message 2 Message
  phash 3 string

MessageContextInfo
  deviceListMetadataVersion 2 int32
  messageSecret 3 bytes
  messageAddOnDurationInSecs 5 uint32
  reportingTokenVersion 8 int32
  messageAssociation 10 MessageAssociation

MessageAssociation
  associationType 1 enum
  parentMessageKey 2 MessageKey
  messageIndex 3 int32

ContextInfo
  stanzaID 1 string
  participant 2 string
  quotedMessage 3 Message
  remoteJID 4 string
  mentionedJID 15 string*
  forwardingScore 21 uint32
  isForwarded 22 bool
  expiration 25 uint32
  ephemeralSettingTimestamp 26 int64
  externalAdReply 28 ContextInfo.ExternalAdReplyInfo
  disappearingMode 32 DisappearingMode
  groupMentions 40 GroupMention*
  nonJIDMentions 70 uint32

ContextInfo.ExternalAdReplyInfo
  title 1 string
  body 2 string
  thumbnailURL 4 string
  mediaURL 5 string
  sourceURL 9 string

DisappearingMode
  initiator 1 enum
  trigger 2 enum
  initiatorDeviceJID 3 string
  initiatedByMe 4 bool

GroupMention
  groupJID 1 string
  groupSubject 2 string

ExtendedTextMessage
  text 1 string
  matchedText 2 string
  description 5 string
  title 6 string
  textArgb 7 fixed32
  backgroundArgb 8 fixed32
  font 9 enum
  previewType 10 enum
  JPEGThumbnail 16 bytes
  contextInfo 17 ContextInfo
  thumbnailDirectPath 19 string
  thumbnailSHA256 20 bytes
  thumbnailEncSHA256 21 bytes
  mediaKey 22 bytes
  mediaKeyTimestamp 23 int64
  thumbnailHeight 24 uint32
  thumbnailWidth 25 uint32
  viewOnce 30 bool

ImageMessage
  URL 1 string
  mimetype 2 string
  caption 3 string
  fileSHA256 4 bytes
  fileLength 5 uint64
  height 6 uint32
  width 7 uint32
  mediaKey 8 bytes
  fileEncSHA256 9 bytes
  directPath 11 string
  mediaKeyTimestamp 12 int64
  JPEGThumbnail 16 bytes
  contextInfo 17 ContextInfo
  viewOnce 25 bool
  staticURL 29 string
  accessibilityLabel 32 string

VideoMessage
  URL 1 string
  mimetype 2 string
  fileSHA256 3 bytes
  fileLength 4 uint64
  seconds 5 uint32
  mediaKey 6 bytes
  caption 7 string
  gifPlayback 8 bool
  height 9 uint32
  width 10 uint32
  fileEncSHA256 11 bytes
  directPath 13 string
  mediaKeyTimestamp 14 int64
  JPEGThumbnail 16 bytes
  contextInfo 17 ContextInfo
  gifAttribution 19 enum
  viewOnce 20 bool
  staticURL 24 string
  accessibilityLabel 26 string

AudioMessage
  URL 1 string
  mimetype 2 string
  fileSHA256 3 bytes
  fileLength 4 uint64
  seconds 5 uint32
  PTT 6 bool
  mediaKey 7 bytes
  fileEncSHA256 8 bytes
  directPath 9 string
  mediaKeyTimestamp 10 int64
  contextInfo 17 ContextInfo
  waveform 19 bytes
  backgroundArgb 20 fixed32
  viewOnce 21 bool

DocumentMessage
  URL 1 string
  mimetype 2 string
  title 3 string
  fileSHA256 4 bytes
  fileLength 5 uint64
  pageCount 6 uint32
  mediaKey 7 bytes
  fileName 8 string
  fileEncSHA256 9 bytes
  directPath 10 string
  mediaKeyTimestamp 11 int64
  contactVcard 12 bool
  JPEGThumbnail 16 bytes
  contextInfo 17 ContextInfo
  thumbnailHeight 18 uint32
  thumbnailWidth 19 uint32
  caption 20 string

StickerMessage
  URL 1 string
  fileSHA256 2 bytes
  fileEncSHA256 3 bytes
  mediaKey 4 bytes
  mimetype 5 string
  height 6 uint32
  width 7 uint32
  directPath 8 string
  fileLength 9 uint64
  mediaKeyTimestamp 10 int64
  isAnimated 13 bool
  pngThumbnail 16 bytes
  contextInfo 17 ContextInfo
  stickerSentTS 18 int64
  isAvatar 19 bool
  isAiSticker 20 bool
  isLottie 21 bool
  accessibilityLabel 22 string

StickerPackMessage
  stickerPackID 1 string
  name 2 string
  publisher 3 string
  fileLength 5 uint64
  fileSHA256 6 bytes
  fileEncSHA256 7 bytes
  mediaKey 8 bytes
  directPath 9 string
  caption 10 string
  contextInfo 11 ContextInfo
  packDescription 12 string

AlbumMessage
  expectedImageCount 2 uint32
  expectedVideoCount 3 uint32
  contextInfo 17 ContextInfo

LocationMessage
  degreesLatitude 1 double
  degreesLongitude 2 double
  name 3 string
  address 4 string
  URL 5 string
  isLive 6 bool
  accuracyInMeters 7 uint32
  speedInMps 8 float
  degreesClockwiseFromMagneticNorth 9 uint32
  comment 11 string
  JPEGThumbnail 16 bytes
  contextInfo 17 ContextInfo

LiveLocationMessage
  degreesLatitude 1 double
  degreesLongitude 2 double
  accuracyInMeters 3 uint32
  speedInMps 4 float
  degreesClockwiseFromMagneticNorth 5 uint32
  caption 6 string
  sequenceNumber 7 int64
  timeOffset 8 uint32
  JPEGThumbnail 16 bytes
  contextInfo 17 ContextInfo

ContactMessage
  displayName 1 string
  vcard 16 string
  contextInfo 17 ContextInfo
  isSelfContact 18 bool

ContactsArrayMessage
  displayName 1 string
  contacts 2 ContactMessage*
  contextInfo 17 ContextInfo

PollCreationMessage
  encKey 1 bytes
  name 2 string
  options 3 PollCreationMessage.Option*
  selectableOptionsCount 4 uint32
  contextInfo 5 ContextInfo
  pollContentType 6 enum
  pollType 7 enum
  endTime 9 int64
  hideParticipantName 10 bool
  allowAddOption 11 bool

PollCreationMessage.Option
  optionName 1 string
  optionHash 2 string

PollUpdateMessage
  pollCreationMessageKey 1 MessageKey
  vote 2 PollEncValue
  senderTimestampMS 4 int64

PollEncValue
  encPayload 1 bytes
  encIV 2 bytes

PollVoteMessage
  selectedOptions 1 bytes*

ReactionMessage
  key 1 MessageKey
  text 2 string
  groupingKey 3 string
  senderTimestampMS 4 int64

EncReactionMessage
  targetMessageKey 1 MessageKey
  encPayload 2 bytes
  encIV 3 bytes

SecretEncryptedMessage
  targetMessageKey 1 MessageKey
  encPayload 2 bytes
  encIV 3 bytes
  secretEncType 4 enum

CommentMessage
  message 1 Message
  targetMessageKey 2 MessageKey

ProtocolMessage
  key 1 MessageKey
  type 2 enum
  ephemeralExpiration 4 uint32
  ephemeralSettingTimestamp 5 int64
  historySyncNotification 6 HistorySyncNotification
  disappearingMode 11 DisappearingMode
  editedMessage 14 Message
  timestampMS 15 int64
  peerDataOperationRequestResponseMessage 17 PeerDataOperationRequestResponseMessage
  invokerJID 19 string

HistorySyncNotification
  fileSHA256 1 bytes
  fileLength 2 uint64
  mediaKey 3 bytes
  fileEncSHA256 4 bytes
  directPath 5 string
  syncType 6 enum
  chunkOrder 7 uint32
  originalMessageID 8 string
  progress 9 uint32
  oldestMsgInChunkTimestampSec 10 int64
  initialHistBootstrapInlinePayload 11 bytes
  peerDataRequestSessionID 12 string

PeerDataOperationRequestResponseMessage
  peerDataOperationRequestType 1 enum
  stanzaID 2 string
  peerDataOperationResult 3 PeerDataOperationRequestResponseMessage.PeerDataOperationResult*

PeerDataOperationRequestResponseMessage.PeerDataOperationResult
  mediaUploadResult 1 enum
  placeholderMessageResendResponse 4 PeerDataOperationRequestResponseMessage.PeerDataOperationResult.PlaceholderMessageResendResponse

PeerDataOperationRequestResponseMessage.PeerDataOperationResult.PlaceholderMessageResendResponse
  webMessageInfoBytes 1 bytes

SenderKeyDistributionMessage
  groupID 1 string
  axolotlSenderKeyDistributionMessage 2 bytes

KeepInChatMessage
  key 1 MessageKey
  keepType 2 enum
  timestampMS 3 int64

PinInChatMessage
  key 1 MessageKey
  type 2 enum
  senderTimestampMS 3 int64

GroupInviteMessage
  groupJID 1 string
  inviteCode 2 string
  inviteExpiration 3 int64
  groupName 4 string
  JPEGThumbnail 5 bytes
  caption 6 string
  contextInfo 7 ContextInfo

NewsletterAdminInviteMessage
  newsletterJID 1 string
  newsletterName 2 string
  caption 4 string
  inviteExpiration 5 int64
  contextInfo 6 ContextInfo

PlaceholderMessage
  type 1 enum

Call
  callKey 1 bytes
  contextInfo 7 ContextInfo

CallLogMessage
  isVideo 1 bool
  callOutcome 2 enum
  durationSecs 3 int64
  callType 4 enum

EventMessage
  contextInfo 1 ContextInfo
  isCanceled 2 bool
  name 3 string
  description 4 string
  location 5 LocationMessage
  joinLink 6 string
  startTime 7 int64
  endTime 8 int64

ButtonsMessage
  text 1 string
  documentMessage 2 DocumentMessage
  imageMessage 3 ImageMessage
  videoMessage 4 VideoMessage
  locationMessage 5 LocationMessage
  contentText 6 string
  footerText 7 string
  contextInfo 8 ContextInfo
  buttons 9 ButtonsMessage.Button*
  headerType 10 enum

ButtonsMessage.Button
  buttonID 1 string
  buttonText 2 ButtonsMessage.Button.ButtonText
  type 3 enum

ButtonsMessage.Button.ButtonText
  displayText 1 string

ButtonsResponseMessage
  selectedButtonID 1 string
  selectedDisplayText 2 string
  contextInfo 3 ContextInfo
  type 4 enum

ListMessage
  title 1 string
  description 2 string
  buttonText 3 string
  listType 4 enum
  sections 5 ListMessage.Section*
  footerText 7 string
  contextInfo 8 ContextInfo

ListMessage.Section
  title 1 string
  rows 2 ListMessage.Row*

ListMessage.Row
  title 1 string
  description 2 string
  rowID 3 string

ListResponseMessage
  title 1 string
  listType 2 enum
  singleSelectReply 3 ListResponseMessage.SingleSelectReply
  contextInfo 4 ContextInfo
  description 5 string

ListResponseMessage.SingleSelectReply
  selectedRowID 1 string

TemplateMessage
  contextInfo 3 ContextInfo
  hydratedTemplate 4 TemplateMessage.HydratedFourRowTemplate
  interactiveMessageTemplate 5 InteractiveMessage
  templateID 9 string

TemplateMessage.HydratedFourRowTemplate
  documentMessage 1 DocumentMessage
  hydratedTitleText 2 string
  imageMessage 3 ImageMessage
  videoMessage 4 VideoMessage
  locationMessage 5 LocationMessage
  hydratedContentText 6 string
  hydratedFooterText 7 string

TemplateButtonReplyMessage
  selectedID 1 string
  selectedDisplayText 2 string
  contextInfo 3 ContextInfo
  selectedIndex 4 uint32

InteractiveMessage
  header 1 InteractiveMessage.Header
  body 2 InteractiveMessage.Body
  footer 3 InteractiveMessage.Footer
  nativeFlowMessage 6 InteractiveMessage.NativeFlowMessage
  contextInfo 15 ContextInfo

InteractiveMessage.Header
  title 1 string
  subtitle 2 string
  documentMessage 3 DocumentMessage
  imageMessage 4 ImageMessage
  hasMediaAttachment 5 bool
  JPEGThumbnail 6 bytes
  videoMessage 7 VideoMessage
  locationMessage 8 LocationMessage

InteractiveMessage.Body
  text 1 string

InteractiveMessage.Footer
  text 1 string

InteractiveMessage.NativeFlowMessage
  buttons 1 InteractiveMessage.NativeFlowMessage.NativeFlowButton*
  messageParamsJSON 2 string
  messageVersion 3 int32

InteractiveMessage.NativeFlowMessage.NativeFlowButton
  name 1 string
  buttonParamsJSON 2 string

InteractiveResponseMessage
  body 1 InteractiveResponseMessage.Body
  nativeFlowResponseMessage 2 InteractiveResponseMessage.NativeFlowResponseMessage
  contextInfo 15 ContextInfo

InteractiveResponseMessage.Body
  text 1 string
  format 2 enum

InteractiveResponseMessage.NativeFlowResponseMessage
  name 1 string
  paramsJSON 2 string
  version 3 int32

ProductMessage
  product 1 ProductMessage.ProductSnapshot
  businessOwnerJID 2 string
  body 5 string
  footer 6 string
  contextInfo 17 ContextInfo

ProductMessage.ProductSnapshot
  productImage 1 ImageMessage
  productID 2 string
  title 3 string
  description 4 string
  currencyCode 5 string
  priceAmount1000 6 int64
  retailerID 7 string
  URL 8 string

OrderMessage
  orderID 1 string
  thumbnail 2 bytes
  itemCount 3 int32
  status 4 enum
  message 6 string
  orderTitle 7 string
  sellerJID 8 string
  totalAmount1000 10 int64
  totalCurrencyCode 11 string
  contextInfo 17 ContextInfo

HistorySync
  syncType 1 enum
  conversations 2 Conversation*
  statusV3Messages 3 WebMessageInfo*
  chunkOrder 5 uint32
  progress 6 uint32
  pushnames 7 Pushname*
  phoneNumberToLidMappings 15 PhoneNumberToLIDMapping*

Conversation
  ID 1 string
  messages 2 HistorySyncMsg*
  newJID 3 string
  oldJID 4 string
  lastMsgTimestamp 5 uint64
  unreadCount 6 uint32
  readOnly 7 bool
  endOfHistoryTransfer 8 bool
  ephemeralExpiration 9 uint32
  ephemeralSettingTimestamp 10 int64
  endOfHistoryTransferType 11 enum
  conversationTimestamp 12 uint64
  name 13 string
  archived 16 bool
  disappearingMode 17 DisappearingMode
  markedAsUnread 19 bool
  pinned 24 uint32
  muteEndTime 25 uint64
  createdAt 31 uint64
  createdBy 32 string
  description 33 string
  displayName 38 string
  pnJID 39 string
  lidJID 42 string
  username 43 string

HistorySyncMsg
  message 1 WebMessageInfo
  msgOrderID 2 uint64

Pushname
  ID 1 string
  pushname 2 string

PhoneNumberToLIDMapping
  pnJID 1 string
  lidJID 2 string

WebMessageInfo
  key 1 MessageKey
  message 2 Message
  messageTimestamp 3 uint64
  status 4 enum
  participant 5 string
  ignore 16 bool
  starred 17 bool
  broadcast 18 bool
  pushName 19 string
  multicast 21 bool
  messageStubType 24 enum
  messageStubParameters 26 string*
  duration 27 uint32
  ephemeralStartTimestamp 32 uint64
  ephemeralDuration 33 uint32
  verifiedBizName 37 string
  userReceipt 40 UserReceipt*
  reactions 41 Reaction*
  pollUpdates 45 PollUpdate*
  messageSecret 49 bytes
  originalSelfAuthorUserJIDString 51 string
  revokeMessageTimestamp 52 uint64

UserReceipt
  userJID 1 string
  receiptTimestamp 2 int64
  readTimestamp 3 int64
  playedTimestamp 4 int64

Reaction
  key 1 MessageKey
  text 2 string
  groupingKey 3 string
  senderTimestampMS 4 int64
  unread 5 bool

PollUpdate
  pollUpdateMessageKey 1 MessageKey
  vote 2 PollVoteMessage
  senderTimestampMS 3 int64
  serverTimestampMS 4 int64
  unread 5 bool

MediaRetryNotification
  stanzaID 1 string
  directPath 2 string
  result 3 enum
  messageSecret 4 bytes

SyncActionValue
  timestamp 1 int64
  contactAction 3 ContactAction
  muteAction 4 MuteAction
  pinAction 5 PinAction
  archiveChatAction 17 ArchiveChatAction
  markChatAsReadAction 20 MarkChatAsReadAction

ContactAction
  fullName 1 string
  firstName 2 string
  lidJID 3 string
  pnJID 5 string

MuteAction
  muted 1 bool
  muteEndTimestamp 2 int64

PinAction
  pinned 1 bool

ArchiveChatAction
  archived 1 bool

MarkChatAsReadAction
  read 1 bool
"""  # noqa: E501 - WhatsApp's own names nest deeply
"""WhatsApp's numbers for the fields that are used here."""


class ProtocolType:
    """Values of `ProtocolMessage.type`."""

    REVOKE = 0
    EPHEMERAL_SETTING = 3
    HISTORY_SYNC_NOTIFICATION = 5
    APP_STATE_SYNC_KEY_SHARE = 6
    PEER_DATA_OPERATION_REQUEST_RESPONSE_MESSAGE = 17
    MESSAGE_EDIT = 14


class HistoryType:
    """Values of `HistorySync.syncType`."""

    INITIAL_BOOTSTRAP = 0
    INITIAL_STATUS_V3 = 1
    FULL = 2
    RECENT = 3
    PUSH_NAME = 4
    NON_BLOCKING_DATA = 5
    ON_DEMAND = 6
