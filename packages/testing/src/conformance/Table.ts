/**
 * The conformance table: every row, in order.
 */
import type { Row } from "./Row.ts"
import { rows as apply } from "./rows/apply.ts"
import { rows as attach } from "./rows/attach.ts"
import { rows as exec } from "./rows/exec.ts"
import { rows as fallback } from "./rows/fallback.ts"
import { rows as forwardEnds } from "./rows/forwardEnds.ts"
import { rows as forwardHttp } from "./rows/forwardHttp.ts"
import { rows as forwardListen } from "./rows/forwardListen.ts"
import { rows as forwardLoad } from "./rows/forwardLoad.ts"
import { rows as kill } from "./rows/kill.ts"
import { rows as liveness } from "./rows/liveness.ts"
import { rows as messages } from "./rows/messages.ts"
import { rows as mistakes } from "./rows/mistakes.ts"
import { rows as outcomes } from "./rows/outcomes.ts"
import { rows as pipeline } from "./rows/pipeline.ts"
import { rows as portForward } from "./rows/portForward.ts"
import { rows as proxy } from "./rows/proxy.ts"
import { rows as refusals } from "./rows/refusals.ts"
import { rows as roles } from "./rows/roles.ts"
import { rows as secondTry } from "./rows/secondTry.ts"
import { rows as spdy } from "./rows/spdy.ts"
import { rows as starts } from "./rows/starts.ts"
import { rows as streams } from "./rows/streams.ts"
import { rows as tunnel } from "./rows/tunnel.ts"
import { rows as upgrade } from "./rows/upgrade.ts"
import { rows as v4 } from "./rows/v4.ts"
import { rows as v5 } from "./rows/v5.ts"
import { rows as volume } from "./rows/volume.ts"

/** Every row. */
export const table: ReadonlyArray<Row> = [
  ...exec,
  ...streams,
  ...messages,
  ...refusals,
  ...fallback,
  ...mistakes,
  ...liveness,
  ...volume,
  ...upgrade,
  ...tunnel,
  ...outcomes,
  ...starts,
  ...secondTry,
  ...roles,
  ...attach,
  ...kill,
  ...pipeline,
  ...spdy,
  ...v4,
  ...v5,
  ...portForward,
  ...forwardListen,
  ...forwardHttp,
  ...forwardEnds,
  ...forwardLoad,
  ...proxy,
  ...apply
]
