// Types and methods of the recommender's HTTP API, for browsers and Node.
// Written by `python -m clients.generate` from the OpenAPI document; do not edit.
// Only types are TypeScript, so Node 22.18 and later run this file without a build.

/** A release that serves a share of the users beside the production release. */
export interface CanaryStatus {
  release: string;
  /** Fraction of the users, 0 to 1 */
  share: number;
  is_in_service: boolean;
}

/** A recall channel that finds the track. */
export interface ChannelExplanation {
  name: string;
  /** Rank among the candidates of the channel, from 1 */
  rank: number;
  /** The channel's reason, as a sentence in the requested language; may be empty */
  reason: string;
}

/** A track of a playlist or an mlog. */
export interface CollectionTrack {
  track_id: string;
  title: string;
  artists: string[];
  /** 0 if unknown */
  duration_ms: number;
  /** To block an artist, report an event with target_type artist and action block */
  artist_ids?: string[];
  /** Album; absent if unknown */
  album_id?: string | null;
  /** Its title; absent if unknown */
  album?: string;
  /** Languages, styles, scenes, emotions and themes of the track */
  facets?: string[];
  /** Audio: an https address or a path of this host; absent if unknown */
  audio_url?: string | null;
  /** Cover: a path of this host; absent if unknown */
  cover_url?: string | null;
}

/** A part of the service that does not work at the moment. */
export interface DegradedPart {
  part: string;
  why: string;
  error: string;
  /** Seconds since 1970 (UTC) at which it stopped working */
  since_s: number;
}

/** A request to erase all data of a user. */
export interface EraseRequest {
  /** Id of the user */
  user_id: string;
  /** The same id again */
  confirm: string;
}

/** A request to erase data that was accepted; a repeated one is answered without erasing again. */
export interface EraseResponse {
  user_id: string;
  /** Whether stored data is being erased now, which takes minutes; if not, it was erased after an
   * earlier request, or an operator does it. In any case no data of the user is read or written from
   * now on */
  is_erasing: boolean;
}

/** A request for the reasons why a track suits a user. */
export interface ExplainRequest {
  /** Id of the user */
  user_id: string;
  /** Track to explain */
  track_id: string;
  /** Scene in which the track was shown. Scenes that /recommend does not have count as daily */
  scene?: string;
  /** Language of the reasons: English or Chinese */
  language?: "en" | "zh";
}

/** A request for everything that is stored about a user. */
export interface ExportRequest {
  /** Id of the user */
  user_id: string;
}

/** Everything that is stored about a user. */
export interface ExportResponse {
  user_id: string;
  /** ISO 8601, UTC */
  exported_at: string;
  /** Store → its rows: logs, landed tables, marts, daily lists, private sessions, training files, and
   * the features of the online store by view */
  stores: Record<string, unknown>;
  /** Stores with more rows than an export has; ask the operator for all of them */
  cut: string[];
}

/** A playable track that matches a query. */
export interface FoundTrack {
  track_id: string;
  title: string;
  artists: string[];
  /** 0 if unknown */
  duration_ms: number;
  /** To block an artist, report an event with target_type artist and action block */
  artist_ids?: string[];
  /** Album; absent if unknown */
  album_id?: string | null;
  /** Its title; absent if unknown */
  album?: string;
  /** Languages, styles, scenes, emotions and themes of the track */
  facets?: string[];
  /** Audio: an https address or a path of this host; absent if unknown */
  audio_url?: string | null;
  /** Cover: a path of this host; absent if unknown */
  cover_url?: string | null;
  /** How well it matches; comparable within one response only; 0 for an empty query */
  score: number;
  /** Why it matches, as a sentence in the requested language */
  reason: string;
}

/** A node on the way through the music graph from what the user listens to to the track. */
export interface GraphNode {
  /** How it is connected with the node before; empty for the first one */
  relation: string;
  node: string;
}

/** A set of listened tracks: its name, its most frequent tracks and artists, and its `share` of all
 * listens. */
export interface InterestSummary {
  name: string;
  share: number;
  titles: string[];
  artists: string[];
}

/** A field that violates the schema. */
export interface InvalidField {
  /** JSON pointer (RFC 6901) of the field in the body */
  pointer: string;
  detail: string;
}

/** A request for what a user liked, saved, marked as not interesting and blocked. */
export interface LibraryRequest {
  /** Id of the user */
  user_id: string;
}

/** A request for the profile of a user. */
export interface ListenerRequest {
  /** Id of the user */
  user_id: string;
}

/** A request for ids of users. */
export interface ListenersRequest {
  /** Number of ids */
  limit?: number;
}

/** A request for a path between two tracks. */
export interface PathRequest {
  /** First track of the path */
  from: string;
  /** Last track of the path */
  to: string;
  /** Number of tracks with both ends; default: 10 */
  length?: number | null;
  /** Id of the user, whose blocked and disliked tracks are excluded */
  user_id?: string | null;
  /** Country of the listener, ISO 3166-1 alpha-2; default: that of the service (`SEGUE_TERRITORY`).
   * Without either, only tracks that are available everywhere are returned */
  territory?: string | null;
  /** Whether tracks with an advisory label are allowed; default: `SEGUE_EXPLICIT` of the service (yes) */
  explicit?: boolean | null;
  /** Language of the reasons: English or Chinese */
  language?: "en" | "zh";
  /** Whether the response has a `trace` */
  debug?: boolean;
}

/** A private session that lasts now. Times in µs since 1970. */
export interface PrivateSessionResponse {
  since_us: number;
  /** Latest end; the event `end_private` ends it earlier */
  until_us: number;
}

/** An error (RFC 9457). */
export interface Problem {
  /** `about:blank`: the status says what kind of problem it is; `urn:segue:problem:no-search`: the
   * release was built without a search, so the same request fails again */
  type: string;
  /** Phrase of the status */
  title: string;
  /** HTTP status */
  status: number;
  /** What is wrong, and the remedy */
  detail: string;
  /** The same as `detail`, for clients of earlier versions */
  error: string;
  /** The first invalid fields of a body that violates its schema */
  errors?: InvalidField[] | null;
}

/** One event of the user: `ended_at` in µs UTC; `played_ratio` 0 if unknown; `session` from 1, the
 * oldest. */
export interface ProfileEvent {
  track_id: string;
  title: string;
  artists: string[];
  artist_ids?: string[];
  album_id?: string | null;
  album?: string;
  duration_ms?: number;
  facets?: string[];
  audio_url?: string | null;
  cover_url?: string | null;
  behaviour: string;
  ended_at: number;
  played_ratio: number;
  session: number;
}

/** A request for recommendations, or to continue a playlist. */
export interface RecommendRequest {
  /** Id of the user; may be omitted with `seeds` or `title` */
  user_id?: string | null;
  /** Place in the product: daily, private_fm, playlists, mlog */
  scene?: "daily" | "private_fm" | "playlists" | "mlog";
  /** Number of items, at most 100 in daily, 30 in private_fm, 50 in playlists, 50 in mlog, and 100 with
   * `seeds` or `title`; default: that of the scene */
  limit?: number | null;
  /** Fraction of tracks in the response that the user has not played, rounded down to whole tracks;
   * default: the release's share for the scene */
  discovery?: number | null;
  /** Country of the listener, ISO 3166-1 alpha-2; default: that of the service (`SEGUE_TERRITORY`).
   * Without either, only tracks that are available everywhere are returned */
  territory?: string | null;
  /** Whether tracks with an advisory label are allowed; default: `SEGUE_EXPLICIT` of the service (yes) */
  explicit?: boolean | null;
  /** Language of the reasons: English or Chinese */
  language?: "en" | "zh";
  /** Whether the response has a `trace` */
  debug?: boolean;
  /** Tracks of a playlist to continue, in its order */
  seeds?: string[];
  /** Title of the playlist to continue, in any language */
  title?: string;
  /** Tracks that must not be in the response; may be unknown ones */
  exclude?: string[];
}

/** One recommended short video. */
export interface RecommendedMlog {
  title: string;
  score: number;
  /** `playlists` or `mlogs`; empty for an item recommended for its popularity */
  channels: string[];
  /** Why the item is recommended, as a sentence in the requested language */
  reason: string;
  /** The first playable tracks */
  tracks: CollectionTrack[];
  mlog_id: string;
}

/** One recommended playlist. */
export interface RecommendedPlaylist {
  title: string;
  score: number;
  /** `playlists` or `mlogs`; empty for an item recommended for its popularity */
  channels: string[];
  /** Why the item is recommended, as a sentence in the requested language */
  reason: string;
  /** The first playable tracks */
  tracks: CollectionTrack[];
  playlist_id: string;
}

/** One recommended track. */
export interface RecommendedTrack {
  track_id: string;
  title: string;
  artists: string[];
  /** 0 if unknown */
  duration_ms: number;
  /** To block an artist, report an event with target_type artist and action block */
  artist_ids?: string[];
  /** Album; absent if unknown */
  album_id?: string | null;
  /** Its title; absent if unknown */
  album?: string;
  /** Languages, styles, scenes, emotions and themes of the track */
  facets?: string[];
  /** Audio: an https address or a path of this host; absent if unknown */
  audio_url?: string | null;
  /** Cover: a path of this host; absent if unknown */
  cover_url?: string | null;
  score: number;
  /** Recall channels that found the track, the one that ranked it highest first */
  channels: string[];
  /** Why the track is recommended, as a sentence in the requested language */
  reason: string;
  /** Release that recommended the track, if it differs from that of the response: in a daily list that
   * an earlier release began */
  release?: string | null;
}

/** A release that was not taken into service. */
export interface RefusedRelease {
  release: string;
  why: string;
  /** Seconds since 1970 (UTC) at which it was rejected */
  at_s: number;
}

/** A row that violates the data contract. */
export interface RejectedEvent {
  /** Position of the row in the report, from 0 */
  index: number;
  reason: string;
}

/** One event: a row of the data contract's `listening_events`. Every column that is not required may be
 * null. */
export interface ReportedEvent {
  /** Rows with the same id are one event; default: a hash of the event and its times, which differs if
   * a row without times is resent */
  event_id?: string | null;
  /** User who acted */
  user_id: string;
  /** The client's order of events that end at the same time */
  sequence_number?: number | null;
  /** Type of the target */
  target_type: "track" | "playlist" | "album" | "artist" | "mlog" | "interest" | "session";
  /** Id of the target within its type */
  target_id: string;
  /** Start: ISO 8601 in UTC, or µs since 1970; default: derived from the end */
  occurred_at?: string | number | null;
  /** End of a play, in the same formats; default: now */
  ended_at?: string | number | null;
  /** What the user did */
  action: "impression" | "play" | "click" | "like" | "collect" | "share" | "download" | "dislike" | "block" | "unlike" | "uncollect" | "undislike" | "unblock" | "exclude" | "unexclude" | "reset" | "unreset" | "rename" | "start_private" | "end_private";
  /** Played time in ms; required for plays, invalid otherwise */
  played_ms?: number | null;
  /** Place in the product */
  scene?: string | null;
  /** Where the target came from, typed: playlist:7, album:3 */
  context_id?: string | null;
  /** Response that showed the target */
  request_id?: string | null;
  /** Position in that response, from 0 */
  position?: number | null;
  /** Probability with which that response showed the target */
  propensity?: number | null;
  /** Kind of device */
  device?: string | null;
}

/** A search for tracks. */
export interface SearchRequest {
  /** Names, moods, scenes, styles, languages and years in words of English or Chinese; empty: the most
   * played tracks */
  query?: string;
  /** Former name of `query`, used if that is empty */
  words?: string;
  /** Number of tracks */
  limit?: number;
  /** Id of the user, whose taste decides between similarly good matches, and whose blocked and disliked
   * tracks are excluded */
  user_id?: string | null;
  /** Country of the listener, ISO 3166-1 alpha-2; default: that of the service (`SEGUE_TERRITORY`).
   * Without either, only tracks that are available everywhere are returned */
  territory?: string | null;
  /** Whether tracks with an advisory label are allowed; default: `SEGUE_EXPLICIT` of the service (yes) */
  explicit?: boolean | null;
  /** Language of the reasons: English or Chinese */
  language?: "en" | "zh";
}

/** Matching tracks, best first; the most played first among equally good ones. */
export interface SearchResults {
  items: FoundTrack[];
  /** `words` of the query that were not understood; `facets`: styles, languages and moods of the query
   * that too few tracks have → how the response differs; absent if the response is as requested */
  unmet?: Record<string, string> | null;
}

/** Releases in service and degraded parts. */
export interface ServiceStatus {
  is_ready: boolean;
  degraded: DegradedPart[];
  /** The production release */
  release: string | null;
  /** Name of the running experiment */
  experiment: string | null;
  /** Canary releases */
  beside: CanaryStatus[];
  refused: RefusedRelease[];
}

/** A request for tracks similar to one. */
export interface SimilarRequest {
  /** Track to compare with */
  track_id: string;
  /** Number of tracks; default: 20 */
  limit?: number | null;
  /** Id of the user, whose blocked and disliked tracks are excluded */
  user_id?: string | null;
  /** Country of the listener, ISO 3166-1 alpha-2; default: that of the service (`SEGUE_TERRITORY`).
   * Without either, only tracks that are available everywhere are returned */
  territory?: string | null;
  /** Whether tracks with an advisory label are allowed; default: `SEGUE_EXPLICIT` of the service (yes) */
  explicit?: boolean | null;
  /** Language of the reasons: English or Chinese */
  language?: "en" | "zh";
  /** Whether the response has a `trace` */
  debug?: boolean;
}

/** A request for what shapes the recommendations of a user. */
export interface TasteRequest {
  /** Id of the user */
  user_id: string;
}

/** How one response was computed. */
export interface Trace {
  release: string;
  /** Fraction of new tracks that the response should have, by the request or the release; null for
   * requests about tracks */
  discovery: number | null;
  /** Source of the user state: `store`, or if the store failed `memory` (cached) or `nothing` */
  state_from: string;
  /** Stage of the pipeline, in order → milliseconds */
  stage_ms: Record<string, number>;
  /** Recall channel → number of candidates */
  candidates: Record<string, number>;
  /** Recall channel without a part in the response → reason: failed, late, or busy with an earlier
   * request */
  left_out: Record<string, string>;
  /** Distinct candidates of all channels */
  fused: number;
  /** Filter → number of candidates removed */
  removed: Record<string, number>;
  /** Candidates that were ranked */
  ranked: number;
  /** Tracks already in today's list; if they suffice, no channel is called */
  listed: number;
  /** Random new tracks in the response */
  explored: number;
  /** Part that failed for this response → what it lacks */
  degraded?: Record<string, string>;
  /** `discovery`, `max_per_artist`, `artist_spacing` or `words` of the title → why the response does
   * not meet it */
  unmet?: Record<string, string>;
}

/** A track of the release. */
export interface Track {
  track_id: string;
  title: string;
  artists: string[];
  /** 0 if unknown */
  duration_ms: number;
  /** To block an artist, report an event with target_type artist and action block */
  artist_ids?: string[];
  /** Album; absent if unknown */
  album_id?: string | null;
  /** Its title; absent if unknown */
  album?: string;
  /** Languages, styles, scenes, emotions and themes of the track */
  facets?: string[];
  /** Audio: an https address or a path of this host; absent if unknown */
  audio_url?: string | null;
  /** Cover: a path of this host; absent if unknown */
  cover_url?: string | null;
}

/** An accepted event about a track that the release in service does not have. */
export interface UnknownTrackEvent {
  /** Position of the row in the report, from 0 */
  index: number;
  track_id: string;
}

/** Some users of the online store. */
export interface UserIds {
  user_ids: string[];
}

/** A user as one release represents them. */
export interface UserProfileResponse {
  user_id: string;
  is_known: boolean;
  release: string;
  /** Whether one user has played every track of the catalog, so that it has nothing new for them */
  is_own_catalog: boolean;
  /** The newest events, oldest first; `ended_at` in µs since 1970 */
  events: ProfileEvent[];
  interests: InterestSummary[];
  /** The latest session */
  short_term: InterestSummary | null;
  /** The last 2,000 listened plays */
  long_term: InterestSummary | null;
}

/** The report of events that were all rejected. */
export interface EventProblem {
  /** Rows that are durable and visible to the user's next request */
  accepted: number;
  /** Rows whose event_id was reported before */
  duplicate: number;
  rejected: RejectedEvent[];
  /** Accepted or duplicate rows about tracks that the release in service does not have: probably wrong
   * ids, or tracks that were landed after the release. They influence recommendations when a release
   * has the track */
  unknown_tracks?: UnknownTrackEvent[];
  /** Plays, clicks and impressions of private sessions, which are not recorded anywhere; absent if
   * there are none */
  private?: number;
  /** `about:blank`: the status says what kind of problem it is; `urn:segue:problem:no-search`: the
   * release was built without a search, so the same request fails again */
  type: string;
  /** Phrase of the status */
  title: string;
  /** HTTP status */
  status: number;
  /** What is wrong, and the remedy */
  detail: string;
  /** The same as `detail`, for clients of earlier versions */
  error: string;
  /** The first invalid fields of a body that violates its schema */
  errors?: InvalidField[] | null;
}

/** What happened to the reported rows. */
export interface EventReport {
  /** Rows that are durable and visible to the user's next request */
  accepted: number;
  /** Rows whose event_id was reported before */
  duplicate: number;
  rejected: RejectedEvent[];
  /** Accepted or duplicate rows about tracks that the release in service does not have: probably wrong
   * ids, or tracks that were landed after the release. They influence recommendations when a release
   * has the track */
  unknown_tracks?: UnknownTrackEvent[];
  /** Plays, clicks and impressions of private sessions, which are not recorded anywhere; absent if
   * there are none */
  private?: number;
}

/** A report of events. Each row is validated on its own, by `serving.events.event_schema`. */
export interface EventsRequest {
  /** Rows of the data contract's `listening_events` */
  events: ReportedEvent[];
}

/** Why a track suits a user, computed now. */
export interface ExplanationResponse {
  track: Track;
  /** Best rank first; empty if no channel finds the track */
  channels: ChannelExplanation[];
  /** Ranking task → probability that the ranker expects */
  tasks: Record<string, number>;
  /** Empty without such a way */
  graph: GraphNode[];
}

/** What does not count for the taste profile of a user. */
export interface LeftOutTarget {
  /** `exclude`: no play of its tracks counts. `reset`: those until `at` do not */
  action: "exclude" | "reset";
  target_type: "album" | "playlist" | "interest";
  target_id: string;
  /** Time of the action, µs since 1970 */
  at: number;
  /** Title, or the name that the user gave an interest; may be empty */
  name: string;
  track_count: number;
  /** At most four of its tracks */
  tracks: Track[];
}

/** A target of an action that the user did not take back. */
export interface LibraryItem {
  target_type: string;
  target_id: string;
  /** Time of the action, µs since 1970 */
  at: number;
  /** Title or name; empty if the release does not know the target */
  name: string;
  /** Null for other targets than tracks, and for unknown tracks */
  track: Track | null;
}

/** What a user liked, saved, hid and blocked, the newest first. */
export interface LibraryResponse {
  user_id: string;
  liked: LibraryItem[];
  collected: LibraryItem[];
  disliked: LibraryItem[];
  /** Artists, tracks and collections */
  blocked: LibraryItem[];
}

/** One response, computed by one release. */
export interface Recommendation {
  /** To be sent with the events that result from this response */
  request_id: string;
  release: string;
  /** Experiment and arm of the user; absent without an experiment */
  arm?: string | null;
  /** Playlists in the scene `playlists`, mlogs in `mlog`, tracks in all other scenes */
  items: Array<RecommendedTrack | RecommendedPlaylist | RecommendedMlog>;
  /** Part of the service that failed for this response → what the response lacks; absent if all parts
   * work */
  degraded?: Record<string, string> | null;
  /** What the candidates did not allow → how the response differs: `discovery` of the request,
   * `max_per_artist` and `artist_spacing` of the scene; `words` of the title that were not understood;
   * absent if the response is as requested */
  unmet?: Record<string, string> | null;
  /** Only if the request has `"debug": true` */
  trace?: Trace | null;
}

/** An interest of a user. */
export interface TasteInterest {
  /** Its facet values or artists; events about it have target_type interest and this target_id */
  interest_id: string;
  /** Name that the user gave it; empty without one */
  name: string;
  /** Fraction of the listens that count, 0 while the interest is paused */
  share: number;
  /** Plays of its tracks do not count, and they are not recommended */
  is_paused: boolean;
  /** At most four, the most played ones first */
  tracks: Track[];
}

/** What shapes the recommendations of a user, and what the user left out. */
export interface TasteResponse {
  user_id: string;
  /** The largest first; paused ones last */
  interests: TasteInterest[];
  /** The newest first; paused interests are in `interests` */
  left_out: LeftOutTarget[];
  private_session: PrivateSessionResponse | null;
}

/** An error response of the service, with its problem document (RFC 9457). */
export class SegueError extends Error {
  /** HTTP status. */
  readonly status: number;
  readonly problem: Partial<Problem>;
  /** Seconds after which the service suggests to try again. */
  readonly retryAfterS: number | undefined;

  constructor(status: number, detail: string, problem: Partial<Problem>, retryAfterS?: number) {
    super(`${status}: ${detail}`);
    this.name = "SegueError";
    this.status = status;
    this.problem = problem;
    this.retryAfterS = retryAfterS;
  }
}

export interface SegueOptions {
  /** Address of the service; default: http://127.0.0.1:3000. */
  baseUrl?: string;
  /** API key of a backend or token of a user; not needed on the machine of a service without keys. */
  apiKey?: string;
  /** Time for a request in ms; default: 30,000. */
  timeoutMs?: number;
  fetch?: typeof globalThis.fetch;
}

/** The recommender. Every method rejects with `SegueError` if the service responds with an error. */
export class SegueClient {
  readonly #baseUrl: string;
  readonly #headers: Record<string, string>;
  readonly #timeoutMs: number;
  readonly #fetch: typeof globalThis.fetch;

  constructor(options: SegueOptions = {}) {
    this.#baseUrl = (options.baseUrl ?? "http://127.0.0.1:3000").replace(/\/+$/, "");
    this.#headers = options.apiKey ? { Authorization: `Bearer ${options.apiKey}` } : {};
    this.#timeoutMs = options.timeoutMs ?? 30_000;
    this.#fetch = options.fetch ?? globalThis.fetch.bind(globalThis);
  }

  /**
   * Tracks, playlists or short videos for a user, best first.
   *
   * Every item names the recall channels that found it and the reason. One response comes from one
   * release. A channel that fails or exceeds the deadline is left out; if none is left, popular tracks
   * are returned.
   *
   * `discovery` is the fraction of tracks in the response that are new to the user (not among the
   * tracks that they have played), from 0 (none) to 1 (all). New tracks are spread evenly: with 0.25
   * every fourth track is new. The number of new tracks is rounded down. Random tracks with few plays
   * may take some of the last places (about one in 30; none with 0). If there are not enough known or
   * new tracks, others fill the list and `unmet` says so.
   *
   * The list of `daily` stays the same within the UTC day, grows if more tracks are requested, and has
   * no track of the lists of the last 7 days; if `discovery` is below one half, only those of them
   * that the user has never played are excluded. A blocked or disliked track leaves the list
   * immediately. At most 4 tracks that the user has played and 3 new ones are by one artist, unless
   * there are not enough artists, which `unmet` says. Until a user has played 3 tracks, tracks that
   * they have only liked are not returned. `debug` adds a `trace` of the computation.
   *
   * The scene `playlists` returns playlists, `mlog` short videos (mlogs), each with its id, a reason
   * and some of its playable tracks; a click on one, reported as an event with `target_type` playlist
   * or mlog, influences the next response. These scenes have no `discovery`. 404: the release has no
   * items of the scene's type.
   *
   * With `seeds` or `title` the response continues a playlist: tracks that fit the seeds and the words
   * of the title, without the seeds themselves. It depends on the user only by their blocked and
   * disliked tracks and artists; `scene` and `discovery` do not apply. 404: the release does not have
   * some of the seeds. `exclude` works with every scene of tracks; the list of `daily` is not changed
   * by it.
   */
  async recommend(body: RecommendRequest = {}): Promise<Recommendation> {
    return (await this.#send("POST", "/recommend", body)).json();
  }

  /**
   * Tracks similar to a given one, most similar first.
   *
   * From the sources of playlist continuation: channels with item similarity (item vectors, the music
   * graph), item transitions, content and shared playlists. Every item names the sources that found
   * it. The filters are those of `/recommend`, and every version of the given recording is excluded.
   * If few tracks are similar, the response is short: it is not filled with popular tracks.
   */
  async similar(body: SimilarRequest): Promise<Recommendation> {
    return (await this.#send("POST", "/similar", body)).json();
  }

  /**
   * A smooth sequence of tracks from one track to another.
   *
   * The first and the last track are the given ones, no track or recording occurs twice, and neighbors
   * are as similar as possible: the path minimizes the sum of the fourth powers of the angles between
   * the vectors of neighbors, with a penalty for tracks of one artist close to each other. The score
   * of a track is the cosine between its vector and that of the track before. The filters are those of
   * `/recommend`. If few tracks may be played, the path is shorter.
   */
  async path(body: PathRequest): Promise<Recommendation> {
    return (await this.#send("POST", "/path", body)).json();
  }

  /**
   * Report events of users.
   *
   * Each row is a `listening_events` row of the data contract. Accepted rows are durable when the
   * response arrives and visible to the user's next request. A row with a known `event_id` is a
   * duplicate and has no effect; a row that violates the contract is rejected with the reason, and the
   * other rows are accepted. Missing times default to now. 422: every row is rejected; the problem has
   * the fields of the report.
   */
  async report_events(body: EventsRequest): Promise<EventReport> {
    return (await this.#send("POST", "/events", body)).json();
  }

  /**
   * Events and interests of a user.
   *
   * The newest events with their sessions; the interests that `multi_interest` finds in the listened
   * tracks, each named by its distinctive facets; and summaries of the latest session and of the last
   * 2,000 plays.
   */
  async listener(body: ListenerRequest): Promise<UserProfileResponse> {
    return (await this.#send("POST", "/listener", body)).json();
  }

  /**
   * Ids of some users, in order, whose features were materialized.
   *
   * Ids of some users, in order, whose features were materialized.
   */
  async listeners(body: ListenersRequest = {}): Promise<UserIds> {
    return (await this.#send("POST", "/listeners", body)).json();
  }

  /**
   * What a user liked, saved, marked as not interesting and blocked.
   *
   * The newest of each action and its reversal counts: a like followed by an `unlike` is not listed.
   */
  async library(body: LibraryRequest): Promise<LibraryResponse> {
    return (await this.#send("POST", "/library", body)).json();
  }

  /**
   * What shapes the recommendations of a user, for the user to control.
   *
   * The interests, and what the user left out. Events change it, and the next response reflects them:
   * `exclude` on an album, a playlist or an interest (to pause it) and `unexclude`; `reset` on an
   * interest (plays so far count no more) and `unreset`; `rename` on an interest, whose `target_id` is
   * the id, `=` and the new name. From `start_private` to `end_private` on a session (at most 12
   * hours) plays, clicks and impressions are not recorded; explicit feedback is.
   */
  async taste(body: TasteRequest): Promise<TasteResponse> {
    return (await this.#send("POST", "/taste", body)).json();
  }

  /**
   * Everything that is stored about a user.
   *
   * From the logs, landed tables, marts, the online store and every other store that an erasure
   * covers, except copies of logged events in the broker. Plays of private sessions are not among it,
   * because they are not stored.
   */
  async export_data(body: ExportRequest): Promise<ExportResponse> {
    return (await this.#send("POST", "/export", body)).json();
  }

  /**
   * Erase all data of a user, for good.
   *
   * From now on the user's events are rejected and the user is answered like an unknown one; what is
   * stored is erased within minutes. A request after that is answered at once, with `is_erasing:
   * false`. Only for the user: with a user token, or on a service without keys. 403 with an API key:
   * it must not erase other users; an operator runs `python -m privacy.erase`.
   */
  async erase_data(body: EraseRequest): Promise<EraseResponse> {
    return (await this.#send("POST", "/erase", body)).json();
  }

  /**
   * Why a track suits a user.
   *
   * The channels that find the track at the moment with their ranks and reasons, the probabilities
   * that the ranker expects, and the way through the music graph. Nothing is recorded as shown.
   */
  async explain(body: ExplainRequest): Promise<ExplanationResponse> {
    return (await this.#send("POST", "/explain", body)).json();
  }

  /**
   * Search tracks by names or by what they are like, best first.
   *
   * "something calm for the night", "放点安静的歌", "sad cantopop from 2015", or a title, artist or album
   * with typing errors. Every track has the reason of its match. The filters are those of
   * `/recommend`. An empty query returns the most played tracks.
   */
  async search(body: SearchRequest = {}): Promise<SearchResults> {
    return (await this.#send("POST", "/search", body)).json();
  }

  /**
   * Audio of a track.
   *
   * The file that the catalog names, or a preview of 10 s if the track is simulated. One byte range
   * per request is supported. Responses name the path as `audio_url`.
   */
  async preview(track_id: string): Promise<Blob> {
    const response = await this.#send("GET", `/media/preview/${encodeURIComponent(track_id)}`);
    return response.blob();
  }

  /**
   * Cover of a track.
   *
   * The file that the catalog names, or a drawing if the track is simulated. Responses name the path
   * as `cover_url`.
   */
  async cover(track_id: string): Promise<Blob> {
    const response = await this.#send("GET", `/media/cover/${encodeURIComponent(track_id)}`);
    return response.blob();
  }

  /**
   * Liveness: whether events can be logged.
   *
   * 503: only a restart helps.
   */
  async livez(): Promise<string> {
    const response = await this.#send("GET", `/livez`);
    return response.text();
  }

  /**
   * Readiness: whether a release is in service and events are accepted.
   *
   * 503 until the first release is loaded and warm, and while another recommender writes the event log
   * of the home. Later releases are swapped in without interruption.
   */
  async readyz(): Promise<string> {
    const response = await this.#send("GET", `/readyz`);
    return response.text();
  }

  /**
   * Releases in service, rejected releases and degraded parts.
   *
   * The production release, the canary releases with their share of the users, which releases were
   * rejected, with the reason (the previous release stays in service instead), and the parts of the
   * service that do not work at the moment (`degraded`).
   */
  async status(): Promise<ServiceStatus> {
    const response = await this.#send("GET", `/status`);
    return response.json();
  }

  /**
   * Metrics for Prometheus.
   *
   * Text format; the service's own metrics begin with `segue_`.
   */
  async metrics(): Promise<string> {
    const response = await this.#send("GET", `/metrics`);
    return response.text();
  }

  async #send(method: string, path: string, body?: object): Promise<Response> {
    const headers = body ? { ...this.#headers, "Content-Type": "application/json" } : this.#headers;
    const response = await this.#fetch(this.#baseUrl + path, {
      method,
      headers,
      body: body && JSON.stringify(body),
      signal: AbortSignal.timeout(this.#timeoutMs),
    });
    if (response.ok) return response;
    const problem = (await response.json().catch(() => ({}))) as Partial<Problem>;
    const wait = Number(response.headers.get("Retry-After") ?? NaN);
    const detail = problem.detail ?? `${response.statusText} for ${method} ${path}`;
    throw new SegueError(response.status, detail, problem, Number.isNaN(wait) ? undefined : wait);
  }
}
