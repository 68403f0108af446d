// A session with the TypeScript client beside it; prints what the service answered as JSON.
import { SegueClient, SegueError } from "./segue.ts";
import type { Recommendation } from "./segue.ts";

const segue = new SegueClient({ baseUrl: process.argv[2] });
const daily: Recommendation = await segue.recommend({ user_id: "ts", limit: 3 });
const [first] = daily.items;
const trackId = "track_id" in first ? first.track_id : "";
const like = { user_id: "ts", action: "like", target_type: "track", target_id: trackId } as const;
const report = await segue.report_events({ events: [{ ...like, request_id: daily.request_id, position: 0 }] });
const path = await segue.path({ from: "t2", to: "t7", length: 4 });
const found = await segue.search({ query: "calm" });
const status = await segue.status();
const error = await segue.similar({ track_id: "nowhere" }).catch((problem: SegueError) => problem);
const missing = await segue.cover("a/b ?").catch((problem: SegueError) => problem);
console.log(
  JSON.stringify({
    daily: daily.items.length,
    report,
    ends: [path.items[0], path.items.at(-1)].map((item) => item && "track_id" in item && item.track_id),
    found: found.items.length,
    release: status.release,
    ready: (await segue.readyz()).trim(),
    error: error instanceof SegueError && [error.status, error.problem.detail],
    missing: missing instanceof SegueError && missing.problem.detail,
  }),
);
