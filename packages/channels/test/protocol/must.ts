import { assert } from "@effect/vitest"

/** An assertion that can be made a million times: its words are found when it fails. */
export const must = (holds: boolean, words: () => string): void => {
  if (!holds) assert.fail(words())
}
