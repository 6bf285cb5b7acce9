/**
 * The conformance table: every row, in order.
 */
import type { Row } from "./Row.ts"
import { rows as exec } from "./rows/exec.ts"
import { rows as messages } from "./rows/messages.ts"
import { rows as outcomes } from "./rows/outcomes.ts"
import { rows as pipeline } from "./rows/pipeline.ts"
import { rows as refusals } from "./rows/refusals.ts"

/** Every row. */
export const table: ReadonlyArray<Row> = [...exec, ...messages, ...refusals, ...outcomes, ...pipeline]
