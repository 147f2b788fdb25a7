import {
  anyFloat,
  anyInt,
  anyString,
  defineOp,
  float,
  floats,
  int,
  ints,
  string,
  strings,
  type OpTable,
} from '../definition.ts'

import { broadcastInputs, sameAsInput, sameDims } from '../rules/elementwise.ts'
import {
  affineGridType,
  attentionType,
  col2ImType,
  determinantType,
  dftType,
  gridSampleType,
  stftType,
} from '../rules/signals.ts'

/** Signals, images, text, and attention as one operator. */
export const signals = {
  AffineGrid: defineOp(20, 2, 1, { attributes: { align_corners: int(0) }, types: affineGridType }),
  Attention: defineOp(23, [3, 7], [1, 4], {
    attributes: {
      is_causal: int(0),
      kv_num_heads: anyInt,
      q_num_heads: anyInt,
      qk_matmul_output_mode: int(0),
      scale: anyFloat,
      softcap: float(0),
      softmax_precision: anyInt,
    },
    types: attentionType,
  }),
  BitCast: defineOp(26, 1, 1, { attributes: { to: anyInt } }),
  Col2Im: defineOp(18, 3, 1, { attributes: { dilations: ints, pads: ints, strides: ints }, types: col2ImType }),
  DFT: defineOp(17, [1, 3], 1, {
    attributes: { axis: int(1), inverse: int(0), onesided: int(0) },
    types: dftType,
  }),
  Det: defineOp(11, 1, 1, { types: determinantType }),
  GridSample: defineOp(16, 2, 1, {
    attributes: { align_corners: int(0), mode: string('linear'), padding_mode: string('zeros') },
    types: gridSampleType,
  }),
  ImageDecoder: defineOp(20, 1, 1, { attributes: { pixel_format: string('RGB') } }),
  RegexFullMatch: defineOp(20, 1, 1, { attributes: { pattern: anyString }, types: sameDims('bool') }),
  RotaryEmbedding: defineOp(23, [3, 4], 1, {
    attributes: { interleaved: int(0), num_heads: anyInt, rotary_embedding_dim: int(0) },
    types: sameAsInput,
  }),
  STFT: defineOp(17, [2, 4], 1, { attributes: { onesided: int(1) }, types: stftType }),
  StringConcat: defineOp(20, 2, 1, { types: broadcastInputs }),
  StringNormalizer: defineOp(10, 1, 1, {
    attributes: {
      case_change_action: string('NONE'),
      is_case_sensitive: int(0),
      locale: anyString,
      stopwords: strings,
    },
  }),
  StringSplit: defineOp(20, 1, 2, { attributes: { delimiter: anyString, maxsplit: anyInt } }),
  TfIdfVectorizer: defineOp(9, 1, 1, {
    attributes: {
      max_gram_length: anyInt,
      max_skip_count: anyInt,
      min_gram_length: anyInt,
      mode: anyString,
      ngram_counts: ints,
      ngram_indexes: ints,
      pool_int64s: ints,
      pool_strings: strings,
      weights: floats,
    },
  }),
} satisfies OpTable
