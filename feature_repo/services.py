"""One feature service per model: the features that it may read.

Views of one service have features with equal names (each sequence has `event_id`), so Feast requires
`full_feature_names=True` for all services but `popularity` and `favorites`. A projection can rename a view, not a feature.
"""

from feast import FeatureService
from views import (
    exclusions,
    impressions_left,
    library,
    played_history,
    recent_clicks,
    recent_events,
    recent_negatives,
    user_profile,
)

popularity = FeatureService(name="popularity", features=[recent_events])
realtime = FeatureService(name="realtime", features=[recent_events, recent_clicks, played_history])
favorites = FeatureService(name="favorites", features=[played_history])
long_short = FeatureService(name="long_short", features=[recent_events, recent_clicks, played_history])
multi_interest = FeatureService(name="multi_interest", features=[recent_events, played_history])
knowledge_graph = FeatureService(name="knowledge_graph", features=[recent_events, played_history])
sum_pooling = FeatureService(
    name="sum_pooling", features=[recent_events, recent_negatives, played_history, user_profile]
)
target_attention = FeatureService(
    name="target_attention", features=[recent_events, recent_negatives, played_history, user_profile]
)
interest_evolution = FeatureService(
    name="interest_evolution", features=[recent_events, recent_negatives, played_history, user_profile]
)
session_domains = FeatureService(
    name="session_domains",
    features=[recent_events, recent_negatives, played_history, impressions_left, user_profile],
)
recommender = FeatureService(
    name="recommender",
    features=[
        recent_events,
        recent_clicks,
        recent_negatives,
        played_history,
        exclusions,
        library,
        impressions_left,
        user_profile,
    ],
    description="All user features that a request reads online.",
)
