import {
  anyFloat,
  anyInt,
  anyString,
  defineOp,
  float,
  floats,
  int,
  ints,
  other,
  strings,
  tensor,
  type OpTable,
} from '../definition.ts'
import {
  constantElements,
  constantOfShapeType,
  constantType,
  likeType,
  randomType,
  rangeType,
  scalarInt64,
  shapeElements,
  shapeType,
} from '../rules/creation.ts'
import { filledElements, sizeElements } from '../rules/elements.ts'
import { melWeightType, windowType } from '../rules/signals.ts'

const windowFunction = () =>
  defineOp(17, 1, 1, { attributes: { output_datatype: int(1), periodic: int(1) }, types: windowType })

/** Operators that make tensors: constants, shapes, ranges, random numbers. */
export const creation = {
  Bernoulli: defineOp(15, 1, 1, { attributes: { dtype: anyInt, seed: anyFloat }, types: likeType, foldable: false }),
  BlackmanWindow: windowFunction(),
  Constant: defineOp(1, 0, 1, {
    attributes: {
      value: tensor,
      sparse_value: other,
      value_float: anyFloat,
      value_floats: floats,
      value_int: anyInt,
      value_ints: ints,
      value_string: anyString,
      value_strings: strings,
    },
    types: constantType,
    elements: constantElements,
  }),
  ConstantOfShape: defineOp(9, 1, 1, {
    attributes: { value: tensor },
    types: constantOfShapeType,
    elements: filledElements,
  }),
  EyeLike: defineOp(9, 1, 1, { attributes: { dtype: anyInt, k: int(0) }, types: likeType }),
  HammingWindow: windowFunction(),
  HannWindow: windowFunction(),
  MelWeightMatrix: defineOp(17, 5, 1, { attributes: { output_datatype: int(1) }, types: melWeightType }),
  Multinomial: defineOp(7, 1, 1, {
    attributes: { dtype: int(6), sample_size: int(1), seed: anyFloat },
    foldable: false,
  }),
  RandomNormal: defineOp(1, 0, 1, {
    attributes: { dtype: int(1), mean: float(0), scale: float(1), seed: anyFloat, shape: ints },
    types: randomType,
    foldable: false,
  }),
  RandomNormalLike: defineOp(1, 1, 1, {
    attributes: { dtype: anyInt, mean: float(0), scale: float(1), seed: anyFloat },
    types: likeType,
    foldable: false,
  }),
  RandomUniform: defineOp(1, 0, 1, {
    attributes: { dtype: int(1), high: float(1), low: float(0), seed: anyFloat, shape: ints },
    types: randomType,
    foldable: false,
  }),
  RandomUniformLike: defineOp(1, 1, 1, {
    attributes: { dtype: anyInt, high: float(1), low: float(0), seed: anyFloat },
    types: likeType,
    foldable: false,
  }),
  Range: defineOp(11, 3, 1, { types: rangeType }),
  Shape: defineOp(1, 1, 1, {
    shapeOnly: true,
    attributes: { start: int(0), end: anyInt },
    types: shapeType,
    elements: shapeElements,
  }),
  Size: defineOp(1, 1, 1, { shapeOnly: true, types: scalarInt64, elements: sizeElements }),
} satisfies OpTable
