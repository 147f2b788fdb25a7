import { defineOp, many, type OpTable } from '../definition.ts'
import { classifierType, regressorType, scaledType } from '../rules/classical.ts'
import { sameAsInput } from '../rules/elementwise.ts'

/** ai.onnx.ml: classical machine learning. Only the arity is checked; the attributes are the runtime's business. */
export const classical = {
  ArrayFeatureExtractor: defineOp(1, 2, 1),
  Binarizer: defineOp(1, 1, 1, { types: sameAsInput }),
  CastMap: defineOp(1, 1, 1),
  CategoryMapper: defineOp(1, 1, 1),
  DictVectorizer: defineOp(1, 1, 1),
  FeatureVectorizer: defineOp(1, [1, many], 1),
  Imputer: defineOp(1, 1, 1, { types: sameAsInput }),
  LabelEncoder: defineOp(1, 1, 1),
  LinearClassifier: defineOp(1, 1, 2, { types: classifierType }),
  LinearRegressor: defineOp(1, 1, 1, { types: regressorType('targets') }),
  Normalizer: defineOp(1, 1, 1, { types: scaledType }),
  OneHotEncoder: defineOp(1, 1, 1),
  SVMClassifier: defineOp(1, 1, 2),
  SVMRegressor: defineOp(1, 1, 1),
  Scaler: defineOp(1, 1, 1, { types: scaledType }),
  TreeEnsemble: defineOp(5, 1, 1),
  TreeEnsembleClassifier: defineOp(1, 1, 2, { types: classifierType }),
  TreeEnsembleRegressor: defineOp(1, 1, 1, { types: regressorType('n_targets') }),
  ZipMap: defineOp(1, 1, 1, { foldable: false }),
} satisfies OpTable
